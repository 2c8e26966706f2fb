package web

import (
	"html"
	"html/template"
)

// What is wrong with a form is a sentence for each field, by the field's name; "form" is
// what no field is alone to blame for. Templates mark the fields and show the sentences
// beside them.

// troubled is the head of a form that was refused.
func troubled(trouble map[string]string) template.HTML {
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
func marked(trouble map[string]string, field string) template.HTMLAttr {
	if trouble[field] == "" {
		return ""
	}
	return template.HTMLAttr(` aria-invalid="true" aria-describedby="` + field + `-trouble"`) //nolint:gosec // names of fields are ours
}

// said is the sentence beside a field.
func said(trouble map[string]string, field string) template.HTML {
	text := trouble[field]
	if text == "" {
		return ""
	}
	return template.HTML(`<p class="trouble" id="` + field + `-trouble">` + html.EscapeString(text) + `</p>`) //nolint:gosec // it was escaped
}
