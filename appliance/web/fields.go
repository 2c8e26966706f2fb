package web

import (
	"fmt"
	"html"
	"html/template"
)

// troubles are what is wrong with a form: a sentence for each field, by the field's name;
// "form" is what no field is alone to blame for. Templates mark the fields and show the
// sentences beside them.
type fieldErrors map[string]string

// stray objects to what was entered into a field that counts with another choice only, as
// it would be lost. A field that is as it was shown was not entered.
func (t fieldErrors) rejectUnused(field, now, shown, choice string, chosen bool) {
	if !chosen && now != "" && now != shown {
		t[field] = fmt.Sprintf("This is used with %s only. Choose that, or take this back.", choice)
	}
}

// troubled is the head of a form that was refused.
func formError(trouble fieldErrors) template.HTML {
	if len(trouble) == 0 {
		return ""
	}
	text := trouble["form"]
	if text == "" {
		text = "Some settings are not valid. Correct them, and submit again."
	}
	return template.HTML(`<p class="notice bad" role="alert">` + html.EscapeString(text) + `</p>`) //nolint:gosec // it was escaped
}

// marked are the attributes of a field.
func fieldAttrs(trouble fieldErrors, field string) template.HTMLAttr {
	if trouble[field] == "" {
		return ""
	}
	return template.HTMLAttr(` aria-invalid="true" aria-describedby="` + field + `-error"`) //nolint:gosec // names of fields are ours
}

// said is the sentence beside a field.
func fieldError(trouble fieldErrors, field string) template.HTML {
	text := trouble[field]
	if text == "" {
		return ""
	}
	return template.HTML(`<p class="error" id="` + field + `-error">` + html.EscapeString(text) + `</p>`) //nolint:gosec // it was escaped
}
