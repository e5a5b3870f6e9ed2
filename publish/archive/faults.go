package archive

import "time"

// report counts an error of a place or step and logs it once a minute at most, so that a failure that comes with every
// file does not fill the log; nil is a success.
func (a *Archive) report(what string, err error) {
	if err == nil {
		if a.faults.Recovered(what) {
			a.log.Info("archive works again", "place", what)
		}
		return
	}
	a.metrics.errors.WithLabelValues(what).Inc()
	if times, due := a.faults.Due(what, time.Now()); due {
		a.log.Warn("archive does not work", "place", what, "error", err, "times", times)
	}
}
