package web

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"sync"
	"unicode/utf8"

	"github.com/esasim/esasim/appliance/assets"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// templates holds one set of templates for each file except the layout. They are parsed when the
// first page is requested, because most appliances in tests never serve one.
var templates = sync.OnceValue(func() map[string]*template.Template {
	sets := map[string]*template.Template{}
	funcs := template.FuncMap{
		"menuAt": inMenu, "pagerLink": newPagerLink,
		"formError": formError, "fieldAttrs": fieldAttrs, "fieldError": fieldError,
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is invalid
	}
	for _, n := range names {
		name := path.Base(n)
		sets[name] = template.Must(template.New(name).Funcs(funcs).ParseFS(templateFiles,
			"templates/layout.html", n))
	}
	return sets
})

// inMenu returns the data of the template of a menu.
func inMenu(m menu, here string) any {
	return struct {
		Menu menu
		Here string
	}{m, here}
}

// A pagerLink is a link of a pager. It is shown without an address if there is no such page, so
// that the other links stay in their places.
type pagerLink struct{ Name, Text, Address, Rel string }

func newPagerLink(name, text, address string) pagerLink {
	rel := map[string]string{"previous": "prev", "next": "next"}[name]
	return pagerLink{name, text, address, rel}
}

// theAssets holds the style sheets and scripts of the pages.
var theAssets = sync.OnceValue(func() *assets.Set { return assets.Read(assetFiles, "assets") })

// layoutData is the data of the layout, which every page has around its content.
type layoutData struct {
	Title    string
	Hostname string
	User     string
	Role     string
	Left     []menu
	Right    []menu
	Here     string // path of the page's menu item
	Pending  bool
	Notice   notice
	Assets   map[string]string
	Data     any
}

// render answers with a page.
func (s *site) render(v *visit, status int, name string, data any) error {
	a := v.account
	f := layoutData{
		Title: cmp.Or(v.title, v.page.Title), Hostname: s.appliance.Hostname(), User: a.Name,
		Role: string(a.Role),
		Left: s.menus(leftMenus, a.Role), Right: s.menus(rightMenus, a.Role),
		Here: v.page.Path, Pending: v.session.draft.Pending(),
		Assets: theAssets().Paths(), Data: data,
	}
	if !v.background { // a refresh does not show notices
		f.Notice = v.session.takeNotice(v.URL.EscapedPath())
	}
	return execute(v.w, status, name, f)
}

// show is render with status 200.
func (s *site) show(v *visit, name string, data any) error {
	return s.render(v, http.StatusOK, name, data)
}

// execute answers with a template. If the template fails, nothing has been sent.
func execute(w http.ResponseWriter, status int, name string, data any) error {
	return answerHTML(w, status, name, "layout", data)
}

// answerPart answers a script with a part of a page.
func answerPart(w http.ResponseWriter, name, define string, data any) error {
	return answerHTML(w, http.StatusOK, name, define, data)
}

func answerHTML(w http.ResponseWriter, status int, name, define string, data any) error {
	var b bytes.Buffer
	if err := templates()[name].ExecuteTemplate(&b, define, data); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	page := b.Bytes()
	if !utf8.Valid(page) { // the client may have sent any bytes, which the page repeats
		page = bytes.ToValidUTF8(page, []byte("\uFFFD"))
	}
	_, _ = w.Write(page) // an error means that the client has gone
	return nil
}

// A question asks the user to confirm an action with a button. It is a page of its own and not
// the answer to a form, so that the browser's Back button leads to it.
type question struct {
	Text, Hint, Button string
	Action, Back       string
	Hidden             [][2]string
}

// answerJSON answers a script with JSON.
func answerJSON(w http.ResponseWriter, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // as above: the client has gone
	return nil
}
