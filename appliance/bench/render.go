package bench

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/assets"
	"github.com/esasim/esasim/appliance/network/netsim"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// templates holds one set of templates for each file except the layout.
var templates = sync.OnceValue(func() map[string]*template.Template {
	sets := map[string]*template.Template{}
	funcs := template.FuncMap{
		"plural": func(n any, noun string) string { return pluralOf(fmt.Sprint(n), noun) },
		"left": func(d netsim.Duration) string {
			return time.Duration(d).Round(time.Second).String()
		},
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

// theAssets holds the style sheets and scripts of the pages.
var theAssets = sync.OnceValue(func() *assets.Set { return assets.Read(assetFiles, "assets") })

// A page is what a handler gives to its template.
type page struct {
	Title string
	Wide  bool // uses the whole width of the window
	Data  any
}

// A menuItem is a page in the menu.
type menuItem struct{ Path, Text string }

func menu() []menuItem {
	return []menuItem{
		{"/", "Network"},
		{"/faults", "Faults"},
		{"/servers", "Servers"},
		{"/packets", "Packets"},
		{"/events", "Events"},
		{"/logs", "Logs"},
		{"/tables", "Tables"},
		{"/terminal", "Terminal"},
		{"/world", "World"},
	}
}

// layoutData is what the layout shows around a page.
type layoutData struct {
	page
	Hostname, Topology string
	Here               string
	Menu               []menuItem
	Assets             map[string]string
	Form               string // the value that every form has to contain
	Notice             string
}

// render answers with a page.
func (s *Server) render(v *visit, status int, name string, p page) error {
	data := layoutData{
		page: p, Here: sectionOf(v.URL.Path), Menu: menu(), Assets: theAssets().Paths(), Form: s.access.form,
		Hostname: s.box.Appliance().Hostname(), Topology: s.box.World().Topology().File,
	}
	return answerHTML(v.w, status, name, "layout", data)
}

// show is render with status 200.
func (s *Server) show(v *visit, name string, p page) error {
	return s.render(v, http.StatusOK, name, p)
}

// sectionOf returns the path of the menu's item that a page belongs to.
func sectionOf(path string) string {
	section := ""
	for _, m := range menu() {
		if path == m.Path || m.Path != "/" && strings.HasPrefix(path, m.Path+"/") {
			section = m.Path
		}
	}
	return section
}

// execute returns a part of a page.
func execute(name, define string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := templates()[name].ExecuteTemplate(&b, define, data); err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return bytes.ToValidUTF8(b.Bytes(), []byte("\uFFFD")), nil
}

func answerHTML(w http.ResponseWriter, status int, name, define string, data any) error {
	text, err := execute(name, define, data)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // an error means that the client has gone
	return nil
}

// showLogin answers a client that may not use the page.
func showLogin(w http.ResponseWriter, status int, title, text string) {
	data := struct {
		Title, Text string
		Assets      map[string]string
	}{title, text, theAssets().Paths()}
	if answerHTML(w, status, "login.html", "login", data) != nil {
		http.Error(w, title, status)
	}
}

// plural returns a number with a noun: "1 packet", "2 packets".
func plural(n int, noun string) string { return pluralOf(strconv.Itoa(n), noun) }

func pluralOf(n, noun string) string {
	if n != "1" {
		noun += "s"
	}
	return n + " " + noun
}
