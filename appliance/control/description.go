package control

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// files holds the OpenAPI document in parts, and the template of the page that shows it.
//
//go:embed openapi docs.html docs.css
var files embed.FS

// OpenAPI returns the OpenAPI 3.1 document that describes all requests, in YAML. It is made of the
// parts in the folder openapi: head.yaml, the paths, components.yaml, and the schemas.
func OpenAPI() []byte {
	var b bytes.Buffer
	add := func(pattern string) {
		names, err := fs.Glob(files, "openapi/"+pattern)
		for _, name := range names {
			var text []byte
			if text, err = files.ReadFile(name); err == nil {
				b.Write(text)
			}
		}
		if err != nil || len(names) == 0 {
			panic(fmt.Sprintf("the embedded files %s are missing: %v", pattern, err))
		}
	}
	add("head.yaml")
	b.WriteString("paths:\n")
	add("paths/*.yaml")
	b.WriteString("components:\n")
	add("components.yaml")
	b.WriteString("  schemas:\n")
	add("schemas/*.yaml")
	return b.Bytes()
}

// An apiDocument is the part of the OpenAPI document that the index and the page show.
type apiDocument struct {
	Info struct {
		Title       string `yaml:"title"`
		Description string `yaml:"description"`
	} `yaml:"info"`
	Paths      map[string]pathItem `yaml:"paths"`
	Components struct {
		Parameters map[string]parameter `yaml:"parameters"`
		Schemas    map[string]schema    `yaml:"schemas"`
	} `yaml:"components"`
}

type pathItem struct {
	Parameters []parameter `yaml:"parameters"`
	Get        operation   `yaml:"get"`
	Post       operation   `yaml:"post"`
	Put        operation   `yaml:"put"`
	Patch      operation   `yaml:"patch"`
	Delete     operation   `yaml:"delete"`
}

func (p pathItem) operation(method string) operation {
	return map[string]operation{
		"GET": p.Get, "POST": p.Post, "PUT": p.Put, "PATCH": p.Patch, "DELETE": p.Delete,
	}[method]
}

type operation struct {
	ID          string      `yaml:"operationId"`
	Summary     string      `yaml:"summary"`
	Description string      `yaml:"description"`
	Parameters  []parameter `yaml:"parameters"`
	Body        struct {
		Content map[string]content `yaml:"content"`
	} `yaml:"requestBody"`
	Responses map[string]struct {
		Description string             `yaml:"description"`
		Content     map[string]content `yaml:"content"`
	} `yaml:"responses"`
}

type parameter struct {
	Ref         string `yaml:"$ref"`
	Name        string `yaml:"name"`
	In          string `yaml:"in"`
	Description string `yaml:"description"`
}

type content struct {
	Schema  schema `yaml:"schema"`
	Example any    `yaml:"example"`
}

type schema struct {
	Ref         string            `yaml:"$ref"`
	Type        any               `yaml:"type"`
	Description string            `yaml:"description"`
	Enum        []any             `yaml:"enum"`
	Items       *schema           `yaml:"items"`
	Properties  map[string]schema `yaml:"properties"`
	AllOf       []schema          `yaml:"allOf"`
}

// Word describes the type of values in a few words: "list of Fault".
func (s schema) Word() string {
	switch {
	case s.Ref != "":
		return path.Base(s.Ref)
	case s.Items != nil:
		return "list of " + s.Items.Word()
	case len(s.Enum) > 0:
		var words []string
		for _, x := range s.Enum {
			words = append(words, fmt.Sprint(x))
		}
		return strings.Join(words, ", ")
	}
	switch kind := s.Type.(type) {
	case string:
		return kind
	case []any:
		var words []string
		for _, x := range kind {
			words = append(words, fmt.Sprint(x))
		}
		return strings.Join(words, " or ")
	}
	return "any value"
}

// A describedRequest is a request as the page shows it.
type describedRequest struct {
	ID, Method, Path, Summary, Description string

	Parameters []parameter
	Body       string   // the word for its type
	Example    string   // of the body, in JSON
	Answers    []string // "200: the fault (Fault)"
}

// describe parses the OpenAPI document and returns it with the requests in the order of the routes.
func (s *Server) describe() (doc apiDocument, requests []describedRequest, err error) {
	if err := yaml.Unmarshal(OpenAPI(), &doc); err != nil {
		return doc, nil, fmt.Errorf("parse the OpenAPI document: %w", err)
	}
	for _, r := range s.routes() {
		method, where, _ := strings.Cut(r.pattern, " ")
		where = strings.ReplaceAll(where, "...}", "}")
		op := doc.Paths[where].operation(method)
		x := describedRequest{
			ID: op.ID, Method: method, Path: where, Summary: op.Summary, Description: op.Description,
		}
		for _, p := range slices.Concat(doc.Paths[where].Parameters, op.Parameters) {
			if p.Ref != "" {
				p = doc.Components.Parameters[path.Base(p.Ref)]
			}
			x.Parameters = append(x.Parameters, p)
		}
		for _, c := range op.Body.Content {
			x.Body = c.Schema.Word()
			if c.Example != nil {
				text, err := yaml.MarshalWithOptions(c.Example, yaml.JSON())
				if err != nil {
					return doc, nil, fmt.Errorf("the example of %s %s: %w", method, where, err)
				}
				x.Example = strings.TrimSpace(string(text))
			}
		}
		for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
			answer := op.Responses[status]
			if answer.Description == "" { // a reference to one that all requests have
				continue
			}
			text := status + ": " + answer.Description
			for _, c := range answer.Content {
				text += " (" + c.Schema.Word() + ")"
			}
			x.Answers = append(x.Answers, text)
		}
		requests = append(requests, x)
	}
	return doc, requests, nil
}

func (s *Server) descriptionRoutes() []route {
	return []route{
		{"GET /v1", s.getIndex},
		{"GET /v1/version", s.getVersion},
		{"GET /v1/openapi.yaml", s.getOpenAPI},
		{"GET /v1/docs", s.getDocs},
	}
}

// An Index lists what a server answers.
type Index struct {
	Name     string         `json:"name"`    // "esasim"
	Version  string         `json:"version"` // of the program
	OpenAPI  string         `json:"openapi"` // the path of the OpenAPI document
	Docs     string         `json:"docs"`    // the path of the page for people
	Requests []IndexRequest `json:"requests"`
}

// An IndexRequest is a request of the API.
type IndexRequest struct {
	Name    string `json:"name"` // "putFault", the operationId of the OpenAPI document
	Method  string `json:"method"`
	Path    string `json:"path"` // "/v1/faults/{fault}"
	Summary string `json:"summary"`
}

func (s *Server) getIndex(*http.Request) (any, error) {
	_, requests, err := s.describe()
	if err != nil {
		return nil, err
	}
	x := Index{
		Name: "esasim", Version: ProgramVersion(), OpenAPI: "/v1/openapi.yaml", Docs: "/v1/docs",
	}
	for _, r := range requests {
		x.Requests = append(x.Requests, IndexRequest{r.ID, r.Method, r.Path, r.Summary})
	}
	return x, nil
}

// A Version says what runs.
type Version struct {
	Version string `json:"version"` // of the program
	Go      string `json:"go"`      // the version of Go that it was built with
	API     string `json:"api"`     // "v1"
	Product string `json:"product"` // what is simulated: "C100V"; "" for a fleet
	AsyncOS string `json:"asyncos"` // "14.0.0-698"; "" for a fleet
}

func (s *Server) getVersion(*http.Request) (any, error) {
	if s.fleet != nil {
		return Version{Version: ProgramVersion(), Go: runtime.Version(), API: "v1"}, nil
	}
	facts := s.box.Appliance().Product
	return Version{ProgramVersion(), runtime.Version(), "v1", facts.Model, facts.Version.String()}, nil
}

// ProgramVersion returns the module's version if the program was installed as a version of its
// module, and otherwise the revision that was built.
func ProgramVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel " + s.Value[:12]
		}
	}
	return "devel"
}

func (s *Server) getOpenAPI(*http.Request) (any, error) {
	return document{"application/yaml", OpenAPI()}, nil
}

// getDocs answers with the page. It loads nothing and has no script: its style is inline and
// named by its hash in the policy.
func (s *Server) getDocs(*http.Request) (any, error) {
	doc, requests, err := s.describe()
	if err != nil {
		return nil, err
	}
	style, err := files.ReadFile("docs.css")
	if err != nil {
		return nil, err
	}
	page, err := template.ParseFS(files, "docs.html")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(style)
	var b bytes.Buffer
	err = page.Execute(&b, map[string]any{
		"Info": doc.Info, "Requests": requests, "Schemas": doc.Components.Schemas,
		"Version": ProgramVersion(), "Style": template.CSS(style), //nolint:gosec // embedded
		"Policy": "default-src 'none'; style-src 'sha256-" +
			base64.StdEncoding.EncodeToString(sum[:]) + "'",
	})
	return document{"text/html; charset=utf-8", b.Bytes()}, err
}
