package web

import (
	"cmp"
	"embed"
	"html"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/esasim/esasim/appliance/pattern"
	"github.com/esasim/esasim/appliance/product"
)

//go:embed help/*.html
var helpFiles embed.FS

// A topic is a page of Online Help (B23). The first line of its file is the title. [from N] or
// [before N] after the title limits the topic to some versions of the product.
type topic struct {
	Name, Title  string
	from, before product.Version
	Body         template.HTML
	text         string // without tags
}

var (
	tags   = pattern.New(`<[^>]*>`)
	blanks = pattern.New(`\s+`)
)

var topics = sync.OnceValue(func() []topic {
	entries, err := helpFiles.ReadDir("help")
	if err != nil {
		panic(err) // it is embedded
	}
	var list []topic
	for _, e := range entries {
		data, err := helpFiles.ReadFile("help/" + e.Name())
		if err != nil {
			panic(err)
		}
		head, body, _ := strings.Cut(string(data), "\n")
		title, from, below := versions(head)
		list = append(list, topic{
			Name: strings.TrimSuffix(e.Name(), ".html"), Title: title, from: from, before: below,
			Body: template.HTML(body), //nolint:gosec // it is ours
			text: strings.TrimSpace(blanks().ReplaceAllString(
				html.UnescapeString(tags().ReplaceAllString(body, " ")), " ")),
		})
	}
	slices.SortFunc(list, func(a, b topic) int { return cmp.Compare(a.Title, b.Title) })
	return list
})

// versions reads the first line of a topic.
func versions(head string) (title string, from, below product.Version) {
	below = product.Version{Major: 1 << 20} // all
	title, limit, ok := strings.Cut(head, " [")
	if !ok {
		return head, from, below
	}
	word, number, _ := strings.Cut(strings.TrimSuffix(limit, "]"), " ")
	major, err := strconv.Atoi(number)
	switch {
	case err != nil:
		panic("help: " + head) // it is embedded
	case word == "from":
		from = product.Version{Major: major}
	case word == "before":
		below = product.Version{Major: major}
	}
	return title, from, below
}

// topicsFor returns the topics of a version.
func topicsFor(v product.Version) []topic {
	return slices.DeleteFunc(slices.Clone(topics()), func(t topic) bool {
		return v.Before(t.from) || !v.Before(t.before)
	})
}

// A helpView is the data of Online Help: the list of topics, the results of a search, or a topic.
type helpView struct {
	Query   string
	Results []searchResult
	Topic   *topic
}

// A searchResult is a topic that matches a search, with the text around the first match.
type searchResult struct {
	Name, Title, Excerpt string
	score                int
}

func (s *site) showHelp(v *visit) error {
	list := topicsFor(s.appliance.Product.Version)
	if name := v.FormValue("topic"); name != "" {
		i := slices.IndexFunc(list, func(t topic) bool { return t.Name == name })
		if i < 0 {
			return refuse(http.StatusNotFound, "There is no such help topic.")
		}
		v.title = "Help: " + list[i].Title
		return s.show(v, "help.html", helpView{Topic: &list[i]})
	}
	view := helpView{Query: strings.TrimSpace(v.FormValue("search"))}
	view.Results = searchHelp(list, view.Query)
	return s.show(v, "help.html", view)
}

// queryTerms returns the words of a query. A phrase in quotation marks counts as one word.
func queryTerms(query string) []string {
	var list []string
	query = strings.NewReplacer("“", `"`, "”", `"`, "„", `"`).Replace(strings.ToLower(query))
	for i, part := range strings.Split(query, `"`) {
		if words := strings.Fields(part); i%2 == 0 {
			list = append(list, words...)
		} else if len(words) > 0 {
			list = append(list, strings.Join(words, " "))
		}
	}
	return list
}

// searchHelp returns the topics that contain every word of a query, the best match first. A word
// in a title counts for more. An empty query finds every topic.
func searchHelp(list []topic, query string) []searchResult {
	words := queryTerms(query)
	var found []searchResult
next:
	for _, t := range list {
		title, text := strings.ToLower(t.Title), strings.ToLower(t.text)
		f := searchResult{Name: t.Name, Title: t.Title, Excerpt: excerpt(t.text, 0)}
		for _, w := range words {
			n := strings.Count(text, w)
			if strings.Contains(title, w) {
				f.score += 20
			} else if n == 0 {
				continue next
			}
			f.score += min(n, 10)
		}
		if len(words) > 0 {
			f.Excerpt = excerpt(t.text, max(0, strings.Index(text, words[0])))
		}
		found = append(found, f)
	}
	slices.SortStableFunc(found, func(a, b searchResult) int { return b.score - a.score })
	return found
}

// excerpt returns the part of a text around a position.
func excerpt(text string, at int) string {
	const length = 160
	from := max(0, min(at-length/3, len(text)-length))
	if i := strings.IndexByte(text[from:], ' '); from > 0 && i >= 0 {
		from += i + 1
	}
	to := min(len(text), from+length)
	if i := strings.LastIndexByte(text[:to], ' '); to < len(text) && i > from {
		to = i
	}
	part := strings.ToValidUTF8(text[from:to], "")
	if from > 0 {
		part = "… " + part
	}
	if to < len(text) {
		part += " …"
	}
	return part
}
