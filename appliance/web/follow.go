package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/esasim/esasim/appliance/pattern"
)

// A follower is the part of a page that follows a capture in progress. Its fields are attributes of
// the page's element, which the page's script reads.
type follower struct {
	Growing bool   // the capture is in progress
	Size    int64  // of the file that the page shows
	Follow  string // address of the newest data
	Here    string // address of the data at the same place, when the capture has ended
}

// follower returns the follower of a page, whose newest data and whose data at the same place are
// at the paths newest and here, with queries.
func (o *openCapture) follower(newest, here string) follower {
	return follower{o.growing, o.info.Size(), newest, here + "&" + untilEnd.Encode()}
}

// untilEnd is the part of a query that asks for an answer when the capture has ended.
var untilEnd = url.Values{"until": {"end"}}

// followed answers the script of a page with the element that define names, while the capture is in
// progress and once more when it has ended. If the file still has the size that the script knows,
// the answer is 204. view returns the data of the page.
func followed[T any](s *site, name, define string,
	view func(*visit, *openCapture) (T, error)) func(*visit) error {
	return func(v *visit) error {
		growing := s.appliance.Captures.IsBeingWritten(v.PathValue("name"))
		if growing && v.FormValue("until") == untilEnd.Get("until") {
			v.w.WriteHeader(http.StatusNoContent)
			return nil
		}
		o, err := s.open(v)
		if err != nil {
			return err
		}
		defer o.Close()
		size := strconv.FormatInt(o.info.Size(), 10)
		if o.growing && v.FormValue("size") == size {
			v.w.WriteHeader(http.StatusNoContent)
			return nil
		}
		data, err := view(v, o)
		if err != nil {
			return err
		}
		v.w.Header().Set("X-Capture-Size", size)
		v.w.Header().Set("X-Capture-Growing", strconv.FormatBool(o.growing))
		return answerPart(v.w, name, define, data)
	}
}

// partName matches the name of a part of a capture that keeps the newest data.
var partName = pattern.New(`^(.+)-(?:10|[1-9])\.cap$`)

// openOrJoined is open for a page. If the capture was a part of one in progress, and the parts have
// been joined since, it sends the browser to the joined file, and the result is nil.
func (s *site) openOrJoined(v *visit) (*openCapture, error) {
	o, err := s.open(v)
	m := partName().FindStringSubmatch(v.PathValue("name"))
	if m == nil || !errors.Is(err, errNoCapture) {
		return o, err
	}
	joined := m[1] + ".cap"
	f, _, joinedErr := s.storedCapture(joined)
	if joinedErr != nil {
		return nil, err
	}
	f.Close()
	return nil, v.redirect(viewPath(joined),
		"The capture has ended, and its parts have been joined into this file.")
}
