package dataset_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

const frameList = "TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [2:3];\nTestVideoFile{end+1}.gt_frame = [1, 3];\n"

// place writes a file below root, with the bytes of a file of testdata or the given text.
func place(t *testing.T, root, file, from string) {
	t.Helper()
	raw := []byte(from)
	if strings.HasPrefix(from, "testdata/") {
		var err error
		if raw, err = os.ReadFile(from); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(root, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every set is found in the layout in which it is published. level says for three frames what the truth says: 0 normal,
// 1 anomalous, M with a mask, B with a box.
func TestOpenClipsLayouts(t *testing.T) {
	cases := []struct {
		name, set string
		files     map[string]string // content
		masks     []string          // 4×2 PNGs with anomalous pixels
		clips     []string
		truth     string // of the first clip, width and height below
		w, h      int
	}{
		{
			name: "UCSD with masks and the list of frames", set: "ped1",
			files: map[string]string{"Test/UCSDped1.m": frameList, "Test/Test001/001.tif": "", "Test/Test002/001.tif": ""},
			masks: []string{"Test/Test001_gt/001.png", "Test/Test001_gt/002.png", "Test/Test001_gt/003.png"},
			clips: []string{"Test001", "Test002"}, truth: "0M 1M 1M", w: 4, h: 2,
		},
		{
			name: "UCSD, the whole archive", set: "ped2",
			files: map[string]string{"UCSD_Anomaly_Dataset.v1p2/UCSDped2/Test/Test004/001.tif": ""},
			masks: []string{
				"UCSD_Anomaly_Dataset.v1p2/UCSDped2/Test/Test004_gt/001.png", "UCSD_Anomaly_Dataset.v1p2/UCSDped2/Test/Test004_gt/002.png",
				"UCSD_Anomaly_Dataset.v1p2/UCSDped2/Test/Test004_gt/003.png",
			},
			clips: []string{"Test004"}, truth: "1M 1M 1M", w: 4, h: 2,
		},
		{
			name: "Avenue", set: "avenue",
			files: map[string]string{
				"Avenue Dataset/testing_videos/07.avi": "", "ground_truth_demo/testing_label_mask/7_label.mat": "testdata/volume.mat",
			},
			clips: []string{"07"}, truth: "1M 1M 1M", w: 6, h: 4,
		},
		{
			name: "Avenue, uncompressed masks", set: "avenue",
			files: map[string]string{"testing_videos/07.avi": "", "testing_label_mask/7_label.mat": "testdata/volume_plain.mat"},
			clips: []string{"07"}, truth: "1M 1M 1M", w: 6, h: 4,
		},
		{
			name: "ShanghaiTech", set: "shanghaitech",
			files: map[string]string{
				"testing/frames/01_0014/000.jpg": "", "testing/test_frame_mask/01_0014.npy": "testdata/levels.npy",
				"testing/test_pixel_mask/01_0014.npy": "testdata/volume.npy",
			},
			clips: []string{"01_0014"}, truth: "0M 1M 1M", w: 6, h: 4,
		},
		{
			name: "ShanghaiTech, frames alone", set: "shanghaitech",
			files: map[string]string{
				"shanghaitech/testing/frames/01_0014/000.jpg": "", "shanghaitech/testing/test_frame_mask/01_0014.npy": "testdata/levels.npy",
			},
			clips: []string{"01_0014"}, truth: "0 1 1", w: 6, h: 4,
		},
		{
			name: "Street Scene", set: "street_scene",
			files: map[string]string{
				"Test/Test002/00001.jpg": "", "Test/Test002/Test002_gt.txt": "00002.jpg 0 20 10 8 6\nTest002/00003.jpg 0 22 10 8 6\n",
			},
			clips: []string{"Test002"}, truth: "0 1B 1B", w: 40, h: 20,
		},
		{
			name: "a folder of clips", set: "folder",
			files: map[string]string{"test/a.mp4": "", "test/b/1.jpg": "", "test/none.mp4": "", "tracks/b.txt": "0,1,16,7,24,13\n"},
			masks: []string{"test_masks/a/1.png", "test_masks/a/2.png", "test_masks/a/3.png"},
			clips: []string{"a", "b"}, truth: "1M 1M 1M", w: 4, h: 2,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "[data] *set")
			touch(t, root, c.masks...)
			for file, from := range c.files {
				place(t, root, file, from)
			}
			set, err := dataset.OpenClips(c.set, root)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, one := range set.List {
				names = append(names, one.Name)
			}
			if diff := cmp.Diff(c.clips, names); diff != "" || set.FPS <= 0 {
				t.Fatal(diff, set.FPS)
			}
			truth, err := set.List[0].OpenTruth()
			if err != nil {
				t.Fatal(err)
			}
			defer truth.Close()
			var got []string
			for range 3 {
				f, err := truth.Next(c.w, c.h)
				if err != nil {
					t.Fatal(err)
				}
				level := map[bool]string{false: "0", true: "1"}[f.Anomalous]
				if f.Labels != nil {
					level += "M"
				}
				if f.Regions != nil {
					level += "B"
				}
				got = append(got, level)
			}
			if s := strings.Join(got, " "); s != c.truth {
				t.Errorf("truth %q, want %q", s, c.truth)
			}
			if _, err := truth.Next(c.w, c.h); len(c.masks)+len(set.List[0].Volume) > 0 && !errors.Is(err, dataset.ErrLabels) {
				t.Errorf("a fourth frame: %v, want ErrLabels", err)
			}
		})
	}
}

// MATLAB stores masks column after column, NumPy row after row: both are the same mask here.
func TestVolumesAgree(t *testing.T) {
	var all [][]uint8
	for _, file := range []string{"volume.mat", "volume_plain.mat", "volume.npy"} {
		c := dataset.Clip{Name: "x", Volume: filepath.Join("testdata", file)}
		truth, err := c.OpenTruth()
		if err != nil {
			t.Fatal(err)
		}
		var masks []uint8
		for range 3 {
			f, err := truth.Next(6, 4)
			if err != nil {
				t.Fatal(file, err)
			}
			masks = append(masks, f.Labels...)
		}
		truth.Close()
		all = append(all, masks)
	}
	want := make([]uint8, 3*24)
	for i := range 3 {
		for x := i + 1; x < 4; x++ {
			want[24*i+6*i+x] = 1
		}
	}
	for _, masks := range all {
		if diff := cmp.Diff(want, masks); diff != "" {
			t.Error(diff)
		}
	}
	c := dataset.Clip{Name: "x", Volume: "testdata/volume.npy"}
	truth, err := c.OpenTruth()
	if err != nil {
		t.Fatal(err)
	}
	defer truth.Close()
	if _, err := truth.Next(7, 4); !errors.Is(err, dataset.ErrLabels) {
		t.Errorf("a mask of another size: %v", err)
	}
}

func TestTracksAndFrameLists(t *testing.T) {
	got, err := dataset.ParseTracks(strings.NewReader("dir/00012.jpg 3 640.5 360 80 120\n\n3, 11, 600.5,300,680.5,420\n"))
	one := dataset.Region{Frame: 11, Track: 3, X: 600.5, Y: 300, Width: 80, Height: 120}
	if diff := cmp.Diff([]dataset.Region{one, one}, got, cmpopts.EquateApprox(0, 1e-9)); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, bad := range []string{"1 2 3", "0001.jpg 0 5 5 -1 2", "x 0 1 2 3 4", "0,-1,1,1,2,2", "0000.jpg 0 5 5 1 2", "0,0,NaN,1,2,2"} {
		if _, err := dataset.ParseTracks(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	lists, err := dataset.ParseFrameLists(strings.NewReader(frameList))
	want := [][]dataset.Span{{{From: 1, To: 2}}, {{From: 0, To: 0}, {From: 2, To: 2}}}
	if diff := cmp.Diff(want, lists); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, bad := range []string{"", "gt_frame = [5:2];", "gt_frame = [0:2];"} {
		if _, err := dataset.ParseFrameLists(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestOpenClipsRefuses(t *testing.T) {
	root := t.TempDir()
	if _, err := dataset.OpenClips("ped3", root); !errors.Is(err, dataset.ErrUnknown) {
		t.Errorf("unknown name: %v", err)
	}
	if _, err := dataset.OpenClips("ped2", root); !errors.Is(err, dataset.ErrNoClips) {
		t.Errorf("empty folder: %v", err)
	}
	place(t, root, "Test/Test001/001.tif", "")
	place(t, root, "Test/UCSDped2.m", frameList)
	if _, err := dataset.OpenClips("ped2", root); !errors.Is(err, dataset.ErrLabels) {
		t.Errorf("a list of two clips for one: %v", err)
	}
}

func FuzzTracks(f *testing.F) {
	f.Add("00012.jpg 3 640.5 360 80 120\n3,11,600,300,680,420\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := dataset.ParseTracks(strings.NewReader(text))
		for _, r := range list {
			if err == nil && (r.Frame < 0 || r.Track < 0 || !(r.Width > 0) || !(r.Height > 0)) {
				t.Errorf("%+v", r)
			}
		}
	})
}

func FuzzFrameLists(f *testing.F) {
	f.Add(frameList)
	f.Fuzz(func(t *testing.T, text string) {
		clips, err := dataset.ParseFrameLists(strings.NewReader(text))
		if err == nil && len(clips) == 0 {
			t.Error("no clip and no error")
		}
	})
}

func FuzzVolume(f *testing.F) {
	for _, file := range []string{"volume.mat", "volume_plain.mat", "volume.npy"} {
		raw, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, strings.HasSuffix(file, ".mat"))
	}
	f.Fuzz(func(t *testing.T, raw []byte, mat bool) {
		name := map[bool]string{true: "v.mat", false: "v.npy"}[mat]
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		c := dataset.Clip{Name: "x", Volume: path}
		truth, err := c.OpenTruth()
		if err != nil {
			if !errors.Is(err, dataset.ErrLabels) {
				t.Errorf("error %v is not ErrLabels", err)
			}
			return
		}
		defer truth.Close()
		for range 4 {
			if _, err := truth.Next(6, 4); err != nil {
				if !errors.Is(err, dataset.ErrLabels) {
					t.Errorf("error %v is not ErrLabels", err)
				}
				return
			}
		}
	})
}
