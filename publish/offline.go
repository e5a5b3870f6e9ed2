package publish

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/renameio/v2"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

// offlineFile is the name of the file with the events that are open while nothing is published. It is next to the files of the
// spool, which stay as they are: what a former run could not send waits for NATS.
const offlineFile = "events.offline"

// offline keeps the open events of a run that publishes nothing. If it is killed, the next run ends them on the page, in the
// archive and in the lines of outputs.jsonl.
type offline struct {
	mu   sync.Mutex
	dir  string     // empty: nothing is kept
	lock *os.File   // nil: no file has been needed so far
	open openEvents // of this run
}

// begin uses stateDir and returns the ends of the events that the previous run left open. Nothing is written unless there is
// something to keep.
func (o *offline) begin(stateDir string) ([]schema.Event, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open.events = map[string]schema.Event{}
	if stateDir == "" {
		return nil, nil
	}
	o.dir = filepath.Join(stateDir, "spool")
	if _, err := os.Stat(o.dir); err != nil {
		return nil, nil //nolint:nilerr // the first run
	}
	if err := o.hold(); err != nil {
		o.dir = ""
		return nil, err
	}
	left, err := readOffline(o.dir)
	if errors.Is(err, fs.ErrNotExist) { // the previous run published: its events stay in the spool, for NATS
		left, err = readSpool(o.dir)
	}
	if err != nil {
		return nil, err
	}
	ends := left.interrupted()
	if len(ends) > 0 {
		err = o.save()
	}
	return ends, err
}

// hold locks the folder, which another process may use.
func (o *offline) hold() (err error) {
	if o.lock == nil {
		o.lock, err = lockDir(o.dir)
	}
	return err
}

// readOffline returns the events that were open when nothing was published; fs.ErrNotExist if that has not happened.
func readOffline(dir string) (openEvents, error) {
	o := openEvents{events: map[string]schema.Event{}}
	f, err := os.Open(filepath.Join(dir, offlineFile))
	if err != nil {
		return o, err
	}
	return o, errors.Join(o.applyLines(f), f.Close())
}

// readSpool returns the open events of a spool that is not in use, and changes nothing.
func readSpool(dir string) (openEvents, error) {
	lines, err := os.Open(filepath.Join(dir, "events.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return openEvents{}, nil
	}
	if err != nil {
		return openEvents{}, err
	}
	defer lines.Close()
	info, err := lines.Stat()
	if err != nil {
		return openEvents{}, err
	}
	return readOpenEvents(filepath.Join(dir, openFile), lines, info.Size())
}

// apply follows an event. What was open before and after it is on the disk when apply returns.
func (o *offline) apply(e schema.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open.apply(e)
	if o.dir == "" || e.Type == string(events.Update) { // an end is told with the values of the start, or those in event.json
		return nil
	}
	if err := o.hold(); err != nil {
		o.dir = ""
		return err
	}
	return o.save()
}

func (o *offline) save() error {
	b, err := o.open.marshal()
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(o.dir, offlineFile), b, 0o600, renameio.WithTempDir(o.dir))
}

// close lets another process use the folder.
func (o *offline) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lock != nil {
		_ = o.lock.Close()
		o.lock = nil
	}
	o.dir = ""
}

// takeOffline returns the ends of the events that were open when a run that published nothing was killed, and forgets them. They
// are not for subscribers, who have not seen their beginning.
func takeOffline(stateDir string) ([]schema.Event, error) {
	dir := filepath.Join(stateDir, "spool")
	left, err := readOffline(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return left.interrupted(), os.Remove(filepath.Join(dir, offlineFile))
}

// runOffline ends the events that the previous run left open, and waits for the end of the run.
func (p *Publisher) runOffline(done <-chan struct{}, started func()) {
	ends, err := p.offline.begin(p.cfg.StateDir)
	if err != nil {
		p.log.Warn("open events will not end if this process is killed", "err", err)
	}
	p.tellInterrupted(ends)
	started()
	<-done
	p.offline.close()
}

// tellInterrupted tells the other outlets which events the previous run left open.
func (p *Publisher) tellInterrupted(ends []schema.Event) {
	if len(ends) > 0 {
		p.interrupted(ends)
		p.log.Info("ended the events of the previous run", "events", len(ends))
	}
}
