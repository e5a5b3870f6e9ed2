package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNoClips is the error of OpenClips when it finds no labelled clip.
var ErrNoClips = errors.New("dataset: no labelled clip found")

// Clip is a labelled test clip of a fixed camera: a video file or a folder of frames, and its truth in any of the forms in
// which it is published. Empty paths are absent.
type Clip struct {
	Name   string // file or folder name without extension
	Frames string // path of the video or of the folder of frames
	Masks  string // folder of one mask for each frame, in the order of their names
	Volume string // .npy [frames,H,W] or MATLAB's volLabel with one mask for each frame
	Levels string // .npy [frames] with 1 for anomalous frames
	Tracks string // text with the boxes of each anomalous object in each frame: see [ReadTracks]
	Spans  []Span // frames with something anomalous
	spans  bool   // Spans is the truth of the frames, even if it is empty
}

// Span is the frames From … To, counted from 0, both included.
type Span struct{ From, To int }

// Clips is a list of labelled clips of fixed cameras.
type Clips struct {
	Name string
	FPS  float64 // of clips that are folders of frames
	List []Clip
}

// clipLayout is one arrangement of the clips below a root. The patterns are globs in which {stem} stands for the clip's name,
// {n} for the number in it without leading zeros.
type clipLayout struct {
	clips, masks, volume, levels, tracks string
	spans                                string // the .m file of the set
}

// clipSpec describes a set of clips.
type clipSpec struct {
	fps     float64
	layouts []clipLayout
}

// ClipNames returns the sets of clips that OpenClips knows, sorted.
func ClipNames() []string {
	var names []string
	for name := range clipSpecs() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// IsClips reports whether a name is that of a set of clips alone.
func IsClips(name string) bool {
	_, ok := clipSpecs()[name]
	return ok && name != generic
}

// clipSpecs lists the sets. Sources of the layouts:
//
//   - ped1, ped2: UCSD_Anomaly_Dataset.v1p2 (Mahadevan et al., CVPR 2010), frames as TIFF, masks as BMP, all anomalous frames
//     in UCSDped1.m and UCSDped2.m. Ped1 has masks for ten of its clips. 10 frames per second.
//   - avenue: the archive of CUHK Avenue (Lu, Shi and Jia, ICCV 2013) with the masks of ground_truth_demo. 25 frames per second.
//   - shanghaitech: Liu et al., CVPR 2018: testing/frames, test_frame_mask, test_pixel_mask. 24 frames per second.
//   - street_scene: Ramachandra and Jones, WACV 2020: frames as JPEG, objects as text. 15 frames per second.
//   - folder: test/X.mp4 or test/X/ with test_masks/X/; accepted for all of them, like the tracks in tracks/X.txt.
func clipSpecs() map[string]clipSpec {
	ucsd := func(name string) (l []clipLayout) {
		for _, root := range []string{"", name + "/", "UCSD_Anomaly_Dataset.v1p2/" + name + "/"} {
			l = append(l, clipLayout{
				clips: root + "Test/Test[0-9][0-9][0-9]", masks: root + "Test/{stem}_gt", tracks: root + "Test/{stem}_gt.txt",
				spans: root + "Test/" + name + ".m",
			})
		}
		return l
	}
	both := func(folder string, l clipLayout) []clipLayout { // with and without the folder of the archive
		under := func(s string) string {
			if s == "" {
				return ""
			}
			return folder + "/" + s
		}
		return []clipLayout{l, {
			clips: under(l.clips), masks: under(l.masks), volume: under(l.volume), levels: under(l.levels), tracks: under(l.tracks),
		}}
	}
	avenue := both("Avenue Dataset", clipLayout{clips: "testing_videos/*.avi", volume: "ground_truth_demo/testing_label_mask/{n}_label.mat"})
	avenue = append(avenue,
		clipLayout{clips: "Avenue Dataset/testing_videos/*.avi", volume: "ground_truth_demo/testing_label_mask/{n}_label.mat"},
		clipLayout{clips: "testing_videos/*.avi", volume: "testing_label_mask/{n}_label.mat"})
	return map[string]clipSpec{
		"ped1":   {fps: 10, layouts: ucsd("UCSDped1")},
		"ped2":   {fps: 10, layouts: ucsd("UCSDped2")},
		"avenue": {fps: 25, layouts: avenue},
		"shanghaitech": {fps: 24, layouts: both("shanghaitech", clipLayout{
			clips: "testing/frames/*", volume: "testing/test_pixel_mask/{stem}.npy", levels: "testing/test_frame_mask/{stem}.npy",
		})},
		"street_scene": {fps: 15, layouts: append(
			both("StreetScene", clipLayout{clips: "Test/Test[0-9][0-9][0-9]", tracks: "Test/{stem}/{stem}_gt.txt"}),
			both("StreetScene", clipLayout{clips: "Test/Test[0-9][0-9][0-9]", tracks: "Test/{stem}_gt.txt"})...)},
		generic: {fps: 10},
	}
}

// plainClipLayouts are accepted for every set.
func plainClipLayouts() []clipLayout {
	return []clipLayout{
		{clips: "test/*", masks: "test_masks/{stem}", levels: "test_frame_mask/{stem}.npy"},
		{clips: "testing/frames/*", masks: "testing/masks/{stem}", levels: "test_frame_mask/{stem}.npy"},
	}
}

// OpenClips lists the labelled clips of a set below root, in the layout in which it is published or in that of a folder of
// clips (test/X.mp4 or test/X/ with test_masks/X/), sorted by name. Clips without any truth are left out. It returns
// [ErrUnknown] for a name it does not know and [ErrNoClips] when it finds none.
func OpenClips(name, root string) (*Clips, error) {
	s, ok := clipSpecs()[name]
	if !ok {
		return nil, fmt.Errorf("%w %q: want one of %s", ErrUnknown, name, strings.Join(ClipNames(), ", "))
	}
	if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("data set %s: %w", name, err)
	}
	for _, l := range slices.Concat(s.layouts, plainClipLayouts()) {
		list, err := l.find(root)
		if err != nil {
			return nil, fmt.Errorf("data set %s: %w", name, err)
		}
		if len(list) > 0 {
			return &Clips{Name: name, FPS: s.fps, List: list}, nil
		}
	}
	return nil, fmt.Errorf("%w below %q: want test/X.mp4 or test/X/ with test_masks/X/, or the official layout of %s", ErrNoClips, root, name)
}

// find lists the clips with a truth below root.
func (l clipLayout) find(root string) ([]Clip, error) {
	paths, err := filepath.Glob(filepath.Join(escapeGlob(root), l.clips))
	if err != nil {
		return nil, err
	}
	var spans [][]Span
	if l.spans != "" {
		spans, err = readSpans(filepath.Join(root, l.spans))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	var list []Clip
	for i, path := range paths {
		stem := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if strings.HasSuffix(stem, "_gt") {
			continue
		}
		c := Clip{Name: stem, Frames: path}
		for _, find := range []struct {
			pattern string
			to      *string
		}{{l.masks, &c.Masks}, {l.volume, &c.Volume}, {l.levels, &c.Levels}, {l.tracks, &c.Tracks}, {"tracks/{stem}.txt", &c.Tracks}} {
			if p := filepath.Join(root, fillClip(find.pattern, stem)); find.pattern != "" && *find.to == "" {
				if _, err := os.Stat(p); err == nil {
					*find.to = p
				}
			}
		}
		if len(spans) > 0 {
			if len(spans) != len(paths) {
				return nil, fmt.Errorf("%w: %q lists %d clips, but there are %d", ErrLabels, l.spans, len(spans), len(paths))
			}
			c.Spans, c.spans = spans[i], true
		}
		if c.Masks != "" || c.Volume != "" || c.Levels != "" || c.Tracks != "" || c.spans {
			list = append(list, c)
		}
	}
	return list, nil
}

// fillClip replaces {stem} and {n}.
func fillClip(pattern, stem string) string {
	digits := strings.TrimLeft(stem, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-")
	number := stem
	if n, err := strconv.Atoi(digits); err == nil {
		number = strconv.Itoa(n)
	}
	return strings.NewReplacer("{stem}", stem, "{n}", number).Replace(pattern)
}
