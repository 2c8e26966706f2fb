package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A RequestError is the answer of a server that refused a request.
type RequestError struct {
	Status int    // the status code of HTTP, 400 or more
	Text   string // one line for people: what was wrong and what is expected
	// Field is what the mistake is about: a key of the body such as "action" or "[2].action", or
	// a parameter such as "timeout". It is empty if the mistake is about the request as a whole.
	Field string
	// Value is the wrong value in JSON; nil if there is no field, or no value where one is needed.
	Value json.RawMessage

	allow []string // of status 405: the methods that are possible
}

func (e *RequestError) Error() string { return e.Text }

// A Problem is the body of an answer with a status of 400 or more: the details of a problem as in
// RFC 9457, and two members of ours.
type Problem struct {
	Type   string `json:"type"`   // always "about:blank": Title says what the status means
	Title  string `json:"title"`  // "Bad Request"
	Status int    `json:"status"` // 400
	Detail string `json:"detail"` // one line for people
	Error  string `json:"error"`  // the same line, under the name that it has always had
	// Field and Value are those of a RequestError.
	Field string          `json:"field,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// refuse returns an error that is answered with a status.
func refuse(status int, format string, args ...any) error {
	return &RequestError{Status: status, Text: fmt.Sprintf(format, args...)}
}

// badRequest returns an error that is answered with status 400.
func badRequest(format string, args ...any) error {
	return refuse(http.StatusBadRequest, format, args...)
}

// badField is badRequest for a mistake in a field.
func badField(field string, value any, format string, args ...any) error {
	text, err := json.Marshal(value)
	if err != nil {
		text = nil
	}
	return &RequestError{
		Status: http.StatusBadRequest, Field: field, Value: text, Text: fmt.Sprintf(format, args...),
	}
}

// inBody returns err with the field and the value of a body that it is about, if err says in which
// field of a body the mistake is.
func inBody(err error, body []byte) error {
	var mistake *topology.RuleError
	var kind *json.UnmarshalTypeError
	refused := &RequestError{Status: http.StatusBadRequest}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mistake):
		refused.Text, refused.Field = mistake.Error(), mistake.Key
	case errors.As(err, &kind) && kind.Field != "":
		refused.Field = kind.Field
		refused.Text = fmt.Sprintf("%s: expected a value of another type than %s", kind.Field, kind.Value)
	default:
		return err
	}
	refused.Value = valueAt(body, refused.Field)
	return refused
}

// valueAt returns the value of a body at a path such as "action" or "[2].action"; nil if there is
// none.
func valueAt(body []byte, path string) json.RawMessage {
	value := json.RawMessage(body)
	for path != "" && value != nil {
		var key string
		if rest, ok := strings.CutPrefix(path, "["); ok {
			key, path, _ = strings.Cut(rest, "]")
			path = strings.TrimPrefix(path, ".")
			i, err := strconv.Atoi(key)
			var list []json.RawMessage
			if json.Unmarshal(value, &list) != nil || err != nil || i < 0 || i >= len(list) {
				return nil
			}
			value = list[i]
			continue
		}
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		key, path = path[:end], strings.TrimPrefix(path[end:], ".")
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return nil
		}
		value = object[key]
	}
	return value
}

// writeError answers with the text of err and the status that belongs to its type.
func writeError(w http.ResponseWriter, err error) {
	var refused *RequestError
	if errors.As(err, &refused) && refused.allow != nil {
		w.Header().Set("Allow", strings.Join(refused.allow, ", "))
	}
	p := problemOf(err)
	w.Header().Set("Content-Type", "application/problem+json")
	writeJSON(w, p.Status, p)
}

// problemOf returns the details of the problem that err is.
func problemOf(err error) Problem {
	p := Problem{Type: "about:blank", Status: http.StatusInternalServerError, Detail: err.Error()}
	refused, ok := refusedField(err)
	var notFound *netsim.NotFoundError
	var conflict *netsim.ConflictError
	switch {
	case ok || errors.As(err, &refused):
		p.Status, p.Field, p.Value = refused.Status, refused.Field, refused.Value
	case errors.As(err, &notFound):
		p.Status = http.StatusNotFound
	case errors.As(err, &conflict):
		p.Status = http.StatusConflict
	case errors.Is(err, netsim.ErrStopped), errors.Is(err, box.ErrOff),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p.Status = http.StatusServiceUnavailable
	}
	p.Title, p.Error = http.StatusText(p.Status), p.Detail
	return p
}

// oneOf lists what is expected, for messages.
func oneOf(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}
