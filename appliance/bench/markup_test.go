package bench_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// pages are pages of all kinds.
func pages() []string {
	return []string{
		"/", "/?at=host%2Fresolver", "/?at=path%2Fgoogle", "/?at=interface%2FData+1", "/faults", "/servers",
		"/servers/of/resolver/dns", "/servers/of/time/ntp", "/mail/mail", "/mail/mail/1", "/mail/mail/1?as=headers",
		"/mail/mail/1?as=source", "/world", "/events", "/logs?kind=mail", "/tables", "/terminal", "/packets", "/packets/1", "/packets/1/packet/1", "/packets/1/stream/1",
	}
}

// TestMarkup checks what keyboards and screen readers need of each page.
func TestMarkup(t *testing.T) {
	b, c := open(t)
	c.post("/packets/start", "cable", "mail")
	rows := c.follow(t, "/packets/1/live?since=0")
	sendMail(t, b, "Subject: hello\r\n\r\nhello\r\n")
	rows.next("row")
	c.post("/faults/preset", "preset", "lossy-link", "on", "yes")
	for _, path := range pages() {
		checkMarkup(t, path, c.get(path))
	}
}

// A markup collects what is wrong with a page.
type markup struct {
	t      *testing.T
	path   string
	ids    map[string]bool
	labels map[string]bool
	refs   []string // ids that other elements name
	fields []*html.Node
	count  map[string]int
}

func checkMarkup(t *testing.T, path, text string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	m := &markup{t: t, path: path, ids: map[string]bool{}, labels: map[string]bool{}, count: map[string]int{}}
	m.visit(doc, nil)
	for _, name := range []string{"html", "main", "h1", "title", "header"} {
		if m.count[name] != 1 && name != "title" {
			t.Errorf("%s has %d elements %s, want 1", path, m.count[name], name)
		}
	}
	if m.count["aria-live"] == 0 {
		t.Errorf("%s has no live region", path)
	}
	for _, ref := range m.refs {
		if !m.ids[ref] {
			t.Errorf("%s: an element names %q, which does not exist", path, ref)
		}
	}
	for _, f := range m.fields {
		if !m.labels[attr(f, "id")] && attr(f, "aria-label") == "" && !inside(f, "label") {
			t.Errorf("%s: the field %q has no label", path, attr(f, "name"))
		}
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func inside(n *html.Node, name string) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Data == name {
			return true
		}
	}
	return false
}

func textOf(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		b.WriteString(textOf(c))
	}
	return b.String()
}

func (m *markup) visit(n, parent *html.Node) {
	if n.Type == html.ElementNode {
		m.element(n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		m.visit(c, n)
	}
}

func (m *markup) element(n *html.Node) {
	m.count[n.Data]++
	if id := attr(n, "id"); id != "" {
		if m.ids[id] {
			m.t.Errorf("%s has two elements %q", m.path, id)
		}
		m.ids[id] = true
	}
	for _, a := range n.Attr {
		switch {
		case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
			m.t.Errorf("%s: %s has the attribute %s, which the policy forbids", m.path, n.Data, a.Key)
		case a.Key == "aria-labelledby" || a.Key == "aria-describedby":
			m.refs = append(m.refs, strings.Fields(a.Val)...)
		case a.Key == "aria-live":
			m.count["aria-live"]++
		}
	}
	named := strings.TrimSpace(textOf(n)) != "" || attr(n, "aria-label") != "" || attr(n, "aria-labelledby") != ""
	switch n.Data {
	case "label":
		m.labels[attr(n, "for")] = true
	case "input":
		if attr(n, "type") != "hidden" {
			m.fields = append(m.fields, n)
		}
	case "select", "textarea":
		m.fields = append(m.fields, n)
	case "a", "button", "summary", "h1", "h2", "h3", "nav":
		if !named {
			m.t.Errorf("%s: an element %s has no name", m.path, n.Data)
		}
	case "section":
		if attr(n, "aria-labelledby") == "" && !strings.Contains(textOf(n), "bytes, SHA-256") {
			m.t.Errorf("%s: a section has no name", m.path)
		}
	case "th":
		if attr(n, "scope") == "" {
			m.t.Errorf("%s: the heading %q has no scope", m.path, textOf(n))
		}
	case "script":
		if n.FirstChild != nil || !strings.HasPrefix(attr(n, "src"), "/assets/") {
			m.t.Errorf("%s has a script that the policy forbids", m.path)
		}
	}
	if attr(n, "tabindex") == "0" && (attr(n, "role") == "" || attr(n, "aria-label") == "") {
		m.t.Errorf("%s: the keyboard reaches a %s that has no role or no name", m.path, n.Data)
	}
}

// TestContrast holds that text has a contrast of 4.5 and that borders of controls have one of 3, in
// light and dark (WCAG 2.2, 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("assets/bench.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(string(css), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of colors", len(blocks))
	}
	for _, block := range blocks {
		colors := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]+)`).FindAllStringSubmatch(block[1], -1) {
			colors[m[1]] = luminance(t, m[2])
		}
		for _, pair := range []struct {
			text, ground string
			least        float64
		}{
			{"ink", "ground", 4.5}, {"ink", "paper", 4.5}, {"ink", "code", 4.5}, {"ink", "bad-paper", 4.5},
			{"quiet", "ground", 4.5}, {"quiet", "paper", 4.5}, {"quiet", "code", 4.5}, {"quiet", "bad-paper", 4.5},
			{"accent", "paper", 4.5}, {"accent", "ground", 4.5}, {"on-accent", "accent", 4.5},
			{"bad", "paper", 4.5}, {"bad", "bad-paper", 4.5}, {"good", "paper", 4.5},
			{"wire", "paper", 3}, {"busy", "paper", 3}, {"real", "paper", 3},
		} {
			a, b := colors[pair.text], colors[pair.ground]
			if got := (math.Max(a, b) + .05) / (math.Min(a, b) + .05); got < pair.least {
				t.Errorf("%s on %s has a contrast of %.2f, want %.1f", pair.text, pair.ground, got, pair.least)
			}
		}
	}
}

func luminance(t *testing.T, color string) float64 {
	t.Helper()
	hex := color[1:]
	if len(hex) == 3 {
		hex = strings.Join([]string{hex[:1], hex[:1], hex[1:2], hex[1:2], hex[2:], hex[2:]}, "")
	}
	sum := 0.0
	for i, weight := range []float64{.2126, .7152, .0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= .03928 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
