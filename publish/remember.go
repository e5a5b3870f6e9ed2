package publish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/renameio/v2"

	"github.com/oodcast/oodcast/publish/schema"
)

// settingsDir is the folder in the state directory with the settings that requests have made.
const settingsDir = "settings"

// memory keeps the settings that requests have made, so that they survive a restart. They hold as long as the configuration
// says what it said when they were made: a changed configuration wins.
type memory struct {
	dir string // empty: nothing is kept
	mu  struct {
		sync.Mutex
		cameras map[string]remembered
		faults  map[string]error // why the settings of a camera are not kept
	}
}

// remembered are the settings of one camera.
type remembered struct {
	Configured schema.Update `json:"configured"` // what the configuration says
	Settings   schema.Update `json:"settings"`   // what requests have changed since
}

func (m *memory) file(site, camera string) string {
	return filepath.Join(m.dir, settingsDir, site+"."+camera+".json")
}

// restore notes what the configuration says about a camera, and returns the settings that requests of an earlier run have
// made under the same configuration. ok is false if there are none.
func (m *memory) restore(site, camera string, configured schema.Update) (settings schema.Update, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.cameras == nil {
		m.mu.cameras, m.mu.faults = map[string]remembered{}, map[string]error{}
	}
	m.mu.cameras[camera] = remembered{Configured: configured}
	if m.dir == "" {
		return schema.Update{}, false, nil
	}
	b, err := readStateFile(m.file(site, camera))
	if errors.Is(err, fs.ErrNotExist) {
		return schema.Update{}, false, nil
	}
	var kept remembered
	if err == nil {
		err = json.Unmarshal(b, &kept)
	}
	if err != nil || !equal(kept.Configured, configured) {
		return schema.Update{}, false, err
	}
	m.mu.cameras[camera] = kept
	return kept.Settings, true, nil
}

// equal reports whether a and b are the same settings. An empty list in one is none in the other.
func equal(a, b schema.Update) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// note follows a change of settings.
func (m *memory) note(a schema.Audit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, known := m.mu.cameras[a.Camera]
	if !known {
		return
	}
	switch {
	case a.Via == schema.ViaNATS, a.Via == schema.ViaHTTP:
		now.Settings = now.Settings.Merge(a.After)
		m.mu.cameras[a.Camera] = now
		m.mu.faults[a.Camera] = m.save(a.Site, a.Camera, now)
	case a.Action == schema.ActionReload && a.After != (schema.Update{}):
		m.mu.cameras[a.Camera] = remembered{Configured: a.After}
		m.mu.faults[a.Camera] = m.forget(a.Site, a.Camera)
	case a.Action == schema.ActionRemoved:
		delete(m.mu.cameras, a.Camera)
		_ = m.forget(a.Site, a.Camera)
	}
}

func (m *memory) save(site, camera string, r remembered) error {
	if m.dir == "" {
		return errors.New("publish.state_dir is empty")
	}
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	file := m.file(site, camera)
	if err := makeStateDir(filepath.Dir(file)); err != nil {
		return err
	}
	return renameio.WriteFile(file, append(b, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(file)))
}

func (m *memory) forget(site, camera string) error {
	if m.dir == "" {
		return nil
	}
	if err := os.Remove(m.file(site, camera)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// volatile returns why the settings that requests have made end with this run; empty if they do not.
func (m *memory) volatile(camera string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.mu.faults[camera]; err != nil {
		return schema.Clean(fmt.Sprintf("the settings end with this run: %v", err))
	}
	return ""
}

// restoreSettings gives a new camera the settings that requests of an earlier run have made.
func (p *Publisher) restoreSettings(cam schema.Camera) {
	settings, ok, err := p.memory.restore(p.cfg.Site, cam.Name(), cam.Status().Settings())
	if err == nil && ok {
		_, err = cam.Apply(schema.Requester{Via: schema.ViaState, Address: p.memory.file(p.cfg.Site, cam.Name())}, settings)
	}
	if err != nil {
		p.log.Warn("the settings of the previous run are not in force", "camera", cam.Name(), "err", err)
	}
}
