package models

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// EnvFolders is the environment variable that lists folders of bundles, separated like those of PATH.
const EnvFolders = "OODCAST_BUNDLES"

//go:embed bundles/roadscene-s/*.yaml bundles/roadscene-s/*.onnx bundles/roadscene-s/*.safetensors bundles/roadscene-s/*.json bundles/roadscene-s/*.md
var embedded embed.FS

// Found is a bundle that Open finds by its name.
type Found struct {
	Name string
	Dir  string // the folder that holds the bundle; empty for an embedded bundle
}

// Folders returns the folders in which Open looks for names, the first one first: those of EnvFolders, then bundles beside
// the program, then ../share/oodcast/bundles seen from there. They need not exist.
func Folders() []string {
	var folders []string
	add := func(dir string) {
		if dir = filepath.Clean(dir); !slices.Contains(folders, dir) {
			folders = append(folders, dir)
		}
	}
	for _, dir := range filepath.SplitList(os.Getenv(EnvFolders)) {
		if dir != "" {
			add(dir)
		}
	}
	if program, err := os.Executable(); err == nil {
		beside := filepath.Dir(program)
		add(filepath.Join(beside, "bundles"))
		add(filepath.Join(beside, "..", "share", "oodcast", "bundles"))
	}
	return folders
}

// List returns the bundles that Open finds by name, sorted by name. Of bundles with the same name it finds the first one.
func List() []Found {
	var list []Found
	add := func(name, dir string) {
		if namePattern.MatchString(name) && !slices.ContainsFunc(list, func(f Found) bool { return f.Name == name }) {
			list = append(list, Found{name, dir})
		}
	}
	for _, folder := range Folders() {
		entries, _ := os.ReadDir(folder) // a folder that cannot be read holds nothing
		for _, e := range entries {
			if dir := filepath.Join(folder, e.Name()); holdsBundle(dir) {
				add(e.Name(), dir)
			}
		}
	}
	entries, _ := fs.ReadDir(embedded, "bundles") // it is there
	for _, e := range entries {
		add(e.Name(), "")
	}
	slices.SortFunc(list, func(a, b Found) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Names lists the names of the bundles that Open finds by name.
func Names() []string {
	var names []string
	for _, f := range List() {
		names = append(names, f.Name)
	}
	return names
}

// find looks a name up.
func find(name string) (Found, bool) {
	if !namePattern.MatchString(name) {
		return Found{}, false
	}
	for _, folder := range Folders() {
		if dir := filepath.Join(folder, name); holdsBundle(dir) {
			return Found{name, dir}, true
		}
	}
	_, err := fs.Stat(embedded, "bundles/"+name)
	return Found{Name: name}, err == nil
}

func holdsBundle(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, ManifestFile))
	return err == nil
}

// Open opens the bundle at a name or a path, and checks the manifest and the checksum of every file.
//
// A name is looked up in Folders, in their order, then among the embedded bundles. Only what is not found there is a path: a
// folder of the same name in the working directory hides no bundle, and ./NAME names it. Where Default is not installed,
// Embedded serves in its place, and Bundle.Substitute says so.
func Open(nameOrPath string) (*Bundle, error) {
	if nameOrPath == "" {
		return nil, fmt.Errorf("open bundle %q: %w: name one of %s, or a folder", nameOrPath, ErrNotFound,
			strings.Join(Names(), ", "))
	}
	found, ok := find(nameOrPath)
	switch {
	case ok:
		return found.open()
	case nameOrPath == Default:
		found, _ = find(Embedded)
		b, err := found.open()
		if err == nil {
			b.Substitute = fmt.Sprintf("the bundle %s is not installed, the small %s serves in its place; %s", Default, b.Name, howToInstall())
		}
		return b, err
	}
	info, err := os.Stat(nameOrPath)
	switch {
	case errors.Is(err, fs.ErrNotExist) && slices.Contains([]string{Large, General}, nameOrPath):
		return nil, fmt.Errorf("open bundle %q: %w: it is not installed; %s", nameOrPath, ErrNotFound, howToInstall())
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open bundle %q: %w: neither a folder nor one of %s", nameOrPath, ErrNotFound,
			strings.Join(Names(), ", "))
	case err != nil:
		return nil, fmt.Errorf("open bundle %q: %w", nameOrPath, reason(err))
	case !info.IsDir():
		return nil, fmt.Errorf("open bundle %q: %w: it is a file, name the folder that holds %s", nameOrPath,
			ErrNotFound, ManifestFile)
	}
	return Found{Dir: nameOrPath}.open()
}

// howToInstall says where built-in bundles come from and where they are looked for.
func howToInstall() string {
	return "make deps installs it, " + EnvFolders + " lists folders of bundles (looked in " + strings.Join(Folders(), ", ") + ")"
}

func (f Found) open() (*Bundle, error) {
	if f.Dir == "" {
		files, err := fs.Sub(embedded, "bundles/"+f.Name)
		if err != nil {
			return nil, fmt.Errorf("open bundle %q: %w", f.Name, err)
		}
		return OpenFS(files, f.Name)
	}
	b, err := OpenFS(folder(f.Dir), f.Dir)
	if err != nil {
		return nil, err
	}
	b.Dir = f.Dir
	return b, nil
}
