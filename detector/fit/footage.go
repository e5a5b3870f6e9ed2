package fit

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Clips returns the clips in a folder of clips, sorted: its video files, or its folders if it holds nothing but folders, such as
// Train001, Train002, …. It returns nil for anything else, such as a folder of pictures.
func Clips(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	videos := []string{".mp4", ".avi", ".mkv", ".mov", ".webm", ".ts", ".m4v", ".mpg"}
	var clips, folders []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir():
			folders = append(folders, path)
		case slices.Contains(videos, strings.ToLower(filepath.Ext(e.Name()))):
			clips = append(clips, path)
		default:
			return nil
		}
	}
	if len(clips) == 0 {
		return folders
	}
	return clips
}
