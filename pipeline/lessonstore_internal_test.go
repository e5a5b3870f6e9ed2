package pipeline

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/publish/schema"
)

func oneLesson() taught {
	return taught{
		Lesson: schema.Lesson{ID: "yard-1-00", Camera: "yard", Time: time.Unix(5, 0).UTC(), Tokens: 1},
		Shown: &detector.Lesson{
			Bundle: "b", Width: 4, Height: 2, Channels: 2, Tokens: []int{3}, Features: []float32{1, 2}, Mean: []float32{0, 0},
			Deviation: []float32{1, 1},
		},
	}
}

// What is written is read again. Without a file there are no lessons. Nothing is left beside it.
func TestLessonsAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := &lessonStore{dir: dir, name: "home.yard"}
	if list, err := s.read(); err != nil || len(list) != 0 {
		t.Fatalf("before: %v, %v", list, err)
	}
	want := []taught{oneLesson()}
	for range 2 {
		if err := s.write(want); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.read(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v", got, err)
	}
	if files, err := os.ReadDir(filepath.Join(dir, "lessons")); err != nil || len(files) != 1 {
		t.Errorf("files %v, %v", files, err)
	}
}

// A file that is damaged, too large for its grid or a link out of the folder is refused by name, and not overwritten.
func TestDamagedLessons(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lessons"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "lessons", "home.yard.json")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, prepare := range map[string]func() error{
		"damaged":   func() error { return os.WriteFile(path, []byte(`[{"id":`), 0o600) },
		"no grid":   func() error { return os.WriteFile(path, []byte(`[{"id":"a","shown":{}}]`), 0o600) },
		"no lesson": func() error { return os.WriteFile(path, []byte(`[{"id":"a"}]`), 0o600) },
		"outside": func() error {
			return os.WriteFile(path, []byte(`[{"shown":{"width":1,"height":1,"channels":1,"tokens":[5],"features":[0],"mean":[0],"deviation":[1]}}]`), 0o600)
		},
		"too many": func() error { return os.WriteFile(path, []byte("["+strings.Repeat("{},", 99)+"{}]"), 0o600) },
		"link":     func() error { return os.Symlink(secret, path) },
		"folder":   func() error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := prepare(); err != nil {
				t.Fatal(err)
			}
			if list, err := (&lessonStore{dir: dir, name: "home.yard"}).read(); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("read %v, error %v", list, err)
			}
		})
	}
	s := &lessonStore{dir: dir, name: "home.yard"}
	_, s.fault = s.read()
	if err := s.write(nil); err == nil || !strings.Contains(err.Error(), "remove the file first") {
		t.Errorf("write: %v", err)
	}
}

// FuzzLessons: whatever a file of lessons holds, it is refused or can be put into force.
func FuzzLessons(f *testing.F) {
	dir := f.TempDir()
	s := &lessonStore{dir: dir, name: "home.yard"}
	if err := s.write([]taught{oneLesson()}); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, s.path()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`[{"shown":{"width":1,"height":1,"channels":1,"tokens":[0],"features":[0],"mean":[0],"deviation":[1]}}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(filepath.Join(dir, s.path()), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := s.read()
		if err != nil {
			return
		}
		for _, l := range list {
			_ = l.Shown.Explains(l.Shown)
		}
	})
}
