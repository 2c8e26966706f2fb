package web

import (
	"fmt"
	"html"
	"html/template"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// fieldErrors says what is wrong with a form: a sentence for each field, by the field's name.
// The key "form" is for errors that no single field causes. Templates mark the fields, show the
// sentences beside them, and list them at the top of the form with links to the fields.
type fieldErrors map[string]string

// set adds the text of a refusal to a field. It returns any other error. An error that the
// field already has stays.
func (e fieldErrors) set(field string, err error) error {
	if err == nil {
		return nil
	}
	text, ok := refusal.Text(err)
	if !ok {
		return err
	}
	if e[field] == "" {
		e[field] = text
	}
	return nil
}

// rejectUnused adds an error if the user has entered a value into a field that is used with
// another choice only, because the value would be lost. A field with the value that the form
// was shown with was not entered.
func (e fieldErrors) rejectUnused(field, value, shown, choice string, chosen bool) {
	if !chosen && value != "" && value != shown {
		e[field] = fmt.Sprintf("This is used with %s only. Choose that, or take this back.", choice)
	}
}

// formError returns the head of a form that was refused. It takes the focus, so that screen
// readers read it, and links to each field that is wrong.
func formError(errs fieldErrors) template.HTML {
	if len(errs) == 0 {
		return ""
	}
	text := errs["form"]
	if text == "" {
		text = "Some settings are not valid. Correct them, and submit again."
	}
	var b strings.Builder
	b.WriteString(`<div class="notice bad" id="form-error" tabindex="-1" autofocus role="alert">` +
		html.EscapeString(text))
	var fields []string
	for field := range errs {
		if field != "form" {
			fields = append(fields, field)
		}
	}
	slices.SortFunc(fields, func(a, b string) int {
		return slices.Index(fieldOrder, a) - slices.Index(fieldOrder, b)
	})
	if len(fields) > 0 {
		b.WriteString("<ul>")
		for _, field := range fields {
			fmt.Fprintf(&b, `<li><a href="#%s">%s</a></li>`, field, html.EscapeString(errs[field]))
		}
		b.WriteString("</ul>")
	}
	b.WriteString("</div>")
	return template.HTML(b.String()) //nolint:gosec // the texts are escaped, the fields are ours
}

// fieldOrder lists the fields of all forms in the order in which the forms show them. Each is the
// id of an element that can have the focus.
var fieldOrder = []string{
	// Edit Packet Capture Settings
	"size", "duration", "time", "keep", "interfaces", "filter", "ports", "clients", "servers",
	"expression", "leaveout",
	// log subscriptions
	"name", "level", "bouncebytes", "file", "maxsize", "maxfiles", "schedule", "seconds", "clock",
	"method",
	"remotewait", "remotehost", "remoteuser", "remotepassword", "remotedir", "remoteport",
	"pushhost", "pushport", "protocol", "facility", "maxmessage", "tag", "buffer",
	// alerts
	"address", "class", "severity", "from", "initial", "maximum", "stored",
	// commit
	"comment",
}

// fieldAttrs returns the attributes that mark a field that is wrong.
func fieldAttrs(errs fieldErrors, field string) template.HTMLAttr {
	if errs[field] == "" {
		return ""
	}
	attrs := ` aria-invalid="true" aria-describedby="` + field + `-error"`
	return template.HTMLAttr(attrs) //nolint:gosec // the fields are ours
}

// fieldError returns the sentence beside a field that is wrong.
func fieldError(errs fieldErrors, field string) template.HTML {
	text := errs[field]
	if text == "" {
		return ""
	}
	sentence := `<p class="error" id="` + field + `-error">` + html.EscapeString(text) + `</p>`
	return template.HTML(sentence) //nolint:gosec // escaped
}
