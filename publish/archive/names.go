package archive

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

// The files of an event. Those of the peak exist when a later map is clearly above the one that started the event.
const (
	FileEvent       = "event.json"
	FileFrame       = "frame.jpg"   // at the start
	FileOverlay     = "overlay.jpg" // the frame with the map over it
	FileMap         = "map.png"     // 16-bit grey on the map's own grid; event.json has its scale
	FilePeakFrame   = "peak_frame.jpg"
	FilePeakOverlay = "peak_overlay.jpg"
	FilePeakMap     = "peak_map.png"
	FileThumb       = "thumb.jpg" // small, around the region, at the start or the newest peak
	FileClip        = "clip.webm"

	// FileSnapshot stands for the overlay at the peak, or at the start where there is no other.
	FileSnapshot = "snapshot.jpg"
)

// Files returns the names of all files of an event.
func Files() []string {
	return []string{
		FileEvent, FileFrame, FileOverlay, FileMap, FilePeakFrame, FilePeakOverlay, FilePeakMap, FileThumb, FileClip,
	}
}

const dateLayout = "2006-01-02" // of folders, UTC

// idPattern matches the ids of the tracker: camera, time in milliseconds, eight random hexadecimal digits.
var idPattern = regexp.MustCompile(`^([a-z][a-z0-9_]{0,62})-([0-9]{1,15})-([0-9a-f]{8})$`)

// parseID returns the camera and the time in the id of an event.
func parseID(id string) (camera string, at time.Time, ok bool) {
	part := idPattern.FindStringSubmatch(id)
	if part == nil {
		return "", time.Time{}, false
	}
	ms, err := strconv.ParseInt(part[2], 10, 64)
	if err != nil || ms > 253402300799999 { // the year 9999
		return "", time.Time{}, false
	}
	return part[1], time.UnixMilli(ms).UTC(), true
}

// folder returns the folder of an event below the archive, with slashes: {site}/{camera}/{date}/{id}.
func folder(site, id string) (string, error) {
	camera, at, ok := parseID(id)
	if !ok {
		return "", fmt.Errorf("archive: %.80q is not the id of an event", id)
	}
	return path.Join(site, camera, at.Format(dateLayout), id), nil
}

// parseName splits the name of a file, or of a folder (file is then empty), and reports whether it follows our layout.
func parseName(name string) (id, file string, at time.Time, ok bool) {
	part := strings.Split(name, "/")
	if len(part) != 4 && len(part) != 5 || schema.CheckName(part[0]) != nil {
		return "", "", time.Time{}, false
	}
	camera, at, ok := parseID(part[3])
	if !ok || part[1] != camera || part[2] != at.Format(dateLayout) {
		return "", "", time.Time{}, false
	}
	if len(part) == 5 {
		file = part[4]
		ok = slices.Contains(Files(), file)
	}
	return part[3], file, at, ok
}
