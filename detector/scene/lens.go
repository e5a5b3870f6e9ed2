package scene

import "time"

// Limits of what happens to a lens. They were chosen on vtest.avi with mishaps drawn into it; TestNormalFootage has films
// that had no part in it.
const (
	sameView     = 0.35 // change below which the view is that of the reference
	otherView    = 0.6  // change above which it is another view
	hiddenView   = 0.5  // change above which a picture without detail hides the place
	flat         = 0.35 // contrast below which the picture has no detail
	hidden       = 0.12 // contrast below which nothing of the place can be made out: paint, or no light at all
	blurred      = 0.45 // sharpness below which it is blurred
	blurredView  = 0.7  // change up to which a blurred picture still shows the place
	blurContrast = 0.5  // contrast above which it does
	settled      = 0.25 // change against the last second below which the camera stands still

	learn    = 3 * time.Second        // of a view that stays before anything is said about it
	confirm  = 700 * time.Millisecond // that a mishap must last
	heal     = time.Second            // that it must be over
	adopt    = time.Minute            // after which the view of a camera that was moved becomes the usual one
	travel   = 3 * time.Second        // of movement, of which each second of standing takes back a tenth: a camera that travels
	longAgo  = 30 * time.Second       // time constant of the reference
	justNow  = time.Second            // time constant of the last second
	travelUp = time.Minute            // at most so much movement is remembered, ten minutes of standing
)

// lens tells what happens to the view.
type lens struct {
	usual, lately *picture
	age           time.Duration // of the reference
	moving        time.Duration // movement, less a tenth of standing
	category      Category      // what is the matter; empty: nothing
	suspect       Category      // what seems to be the matter
	since         time.Time     // that the suspect has been the same
	began         time.Time     // of category
}

func newLens(width, height int) *lens {
	return &lens{usual: newPicture(width, height), lately: newPicture(width, height)}
}

// fixed reports whether the camera stands still and its view is known.
func (l *lens) fixed() bool { return l.age >= learn && l.moving < travel }

// update takes the next picture and returns what is the matter.
func (l *lens) update(p *picture, now time.Time, dt time.Duration) Category {
	if l.age == 0 {
		l.usual.copyFrom(p)
		l.lately.copyFrom(p)
		l.age = max(dt, 1)
		return ""
	}
	still := compare(p, l.lately)
	l.lately.blend(p, share(dt, justNow))
	standing := !still.ok || still.change < settled
	like := compare(p, l.usual)
	if l.category == "" {
		if standing {
			l.moving = max(0, l.moving-dt/10)
		} else {
			l.moving = min(travelUp, l.moving+dt)
		}
	}
	l.judge(l.suspicion(like, standing), now)
	switch {
	case l.category == Moved && now.Sub(l.began) >= adopt:
		l.usual.copyFrom(l.lately)
		l.category = ""
	case l.category != "" || l.suspect != "":
	case !l.fixed() && like.change >= sameView && !standing: // the view is not known, or it passes by
		l.usual.copyFrom(p)
		l.age = max(dt, 1)
	default:
		l.usual.blend(p, max(share(dt, longAgo), share(dt, l.age)))
		l.age += dt
	}
	return l.category
}

// suspicion returns what one picture looks like.
func (l *lens) suspicion(like likeness, standing bool) Category {
	soft := like.sharp < blurred
	switch {
	case !like.ok || !l.fixed() && l.category == "":
		return ""
	case soft && like.contrast >= blurContrast && like.change < blurredView:
		return Defocused
	case like.contrast < hidden || like.change > hiddenView && (soft || like.contrast < flat):
		return Covered
	case like.change > otherView && standing:
		return Moved
	}
	return ""
}

// judge makes a suspicion that lasts the state.
func (l *lens) judge(suspect Category, now time.Time) {
	if suspect != l.suspect {
		l.suspect, l.since = suspect, now
	}
	wait := confirm
	if suspect == "" {
		wait = heal
	}
	if suspect != l.category && now.Sub(l.since) >= wait {
		l.category, l.began = suspect, now
	}
}

// share is the weight of a new value in an average with a time constant.
func share(dt, constant time.Duration) float32 {
	return float32(min(1, dt.Seconds()/max(dt, constant).Seconds()))
}
