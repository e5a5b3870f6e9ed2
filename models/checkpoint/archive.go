package checkpoint

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// maxDirectory bounds the list of an archive's records, in bytes: Go needs ten times as much memory for it. Each tensor has one
// record of about a hundred bytes.
const maxDirectory = 16 << 20

// archive is a torch zip: NAME/data.pkl and the storages NAME/data/KEY.
type archive struct {
	files  map[string]*zip.File // by path below NAME/
	budget int                  // elements that may still be read
}

func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	counted := &directoryReader{r: r, left: maxDirectory}
	z, err := zip.NewReader(counted, size)
	if err != nil {
		return nil, fmt.Errorf("not a torch file (%w): truncated, or of another program", err)
	}
	counted.left = -1
	if err := disjoint(z.File, size); err != nil {
		return nil, err
	}
	a := &archive{files: make(map[string]*zip.File, len(z.File))}
	root := ""
	for _, f := range z.File {
		if path.Base(f.Name) != "data.pkl" || strings.Count(f.Name, "/") != 1 {
			continue
		}
		if root != "" {
			return nil, errors.New("the archive has two records data.pkl")
		}
		root = path.Dir(f.Name) + "/"
	}
	for _, f := range z.File {
		rel, ok := strings.CutPrefix(f.Name, root)
		if !ok {
			continue
		}
		if a.files[rel] != nil {
			return nil, fmt.Errorf("the archive has two records %q", rel)
		}
		a.files[rel] = f
	}
	if a.files["data.pkl"] == nil {
		return nil, errors.New("the zip file has no data.pkl: not a torch checkpoint")
	}
	if a.files["constants.pkl"] != nil {
		return nil, errors.New("TorchScript archive: save the state_dict instead")
	}
	// Views may share a storage, so the tensors together can be larger than the file. No real file needs twice its size.
	a.budget = int(min(size*2, maxElements))
	return a, nil
}

// directoryReader bounds what may be read until left is negative.
type directoryReader struct {
	r    io.ReaderAt
	left int
}

// ReadAt implements io.ReaderAt.
func (d *directoryReader) ReadAt(b []byte, at int64) (int, error) {
	if d.left < 0 {
		return d.r.ReadAt(b, at)
	}
	if d.left -= len(b); d.left < 0 {
		d.left = 0
		return 0, fmt.Errorf("its list of records has more than %d bytes", maxDirectory)
	}
	return d.r.ReadAt(b, at)
}

// disjoint reports records that reach outside the file or share bytes with each other: a small file could otherwise stand for
// many times its size.
func disjoint(files []*zip.File, size int64) error {
	type span struct {
		from, to int64
		name     string
	}
	spans := make([]span, 0, len(files))
	for _, f := range files {
		from, err := f.DataOffset()
		if err != nil {
			return fmt.Errorf("record %q: %w", f.Name, err)
		}
		if f.CompressedSize64 > uint64(size) || from > size-int64(f.CompressedSize64) {
			return fmt.Errorf("record %q ends outside the file: truncated", f.Name)
		}
		spans = append(spans, span{from, from + int64(f.CompressedSize64), f.Name})
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return fmt.Errorf("the records %q and %q overlap", spans[i-1].name, spans[i].name)
		}
	}
	return nil
}

// record reads a whole member. Torch stores members uncompressed; insisting on that bounds the memory by the file's size.
func (a *archive) record(name string, limit int64) ([]byte, error) {
	f := a.files[name]
	if f == nil {
		return nil, fmt.Errorf("no record %q in the archive", name)
	}
	if f.Method != zip.Store || f.UncompressedSize64 != f.CompressedSize64 {
		return nil, fmt.Errorf("record %q is compressed: not written by torch.save", name)
	}
	if f.UncompressedSize64 > uint64(limit) {
		return nil, fmt.Errorf("record %q has %d bytes, more than the limit of %d", name, f.UncompressedSize64, limit)
	}
	rc, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("record %q: %w", name, err)
	}
	defer rc.Close()
	raw := make([]byte, f.UncompressedSize64) // which is inside the file
	n, err := io.ReadFull(rc, raw)
	if err == nil {
		_, err = rc.Read(make([]byte, 1)) // compares the checksum
	}
	if n < len(raw) {
		err = fmt.Errorf("%d of %d bytes: truncated", n, len(raw))
	}
	if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("record %q: %w", name, cmp.Or(err, errors.New("longer than it states")))
	}
	return raw, nil
}
