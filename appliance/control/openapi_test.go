package control_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/esasim/esasim/appliance/control"
)

// A contract compares requests and answers with the OpenAPI document.
type contract struct {
	doc *openapi3.T
	mux *http.ServeMux // finds the path of the document for a request
}

var loadContract = sync.OnceValues(func() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(control.OpenAPI())
	if err != nil {
		return nil, err
	}
	openapi3filter.RegisterBodyDecoder("application/x-tar", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("message/rfc822", openapi3filter.FileBodyDecoder)
	c := &contract{doc, http.NewServeMux()}
	for _, pattern := range control.AllPatterns() {
		c.mux.Handle(pattern, http.NotFoundHandler())
	}
	return c, nil
})

func theContract(t testing.TB) *contract {
	t.Helper()
	c, err := loadContract()
	if err != nil {
		t.Fatal("the OpenAPI document: ", err)
	}
	return c
}

// documented returns the path of the document for a pattern of a route.
func documented(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	return method, strings.ReplaceAll(path, "...}", "}")
}

// find returns the operation of the document that a request is. ok is false if there is none.
func (c *contract) find(r *http.Request) (in *openapi3filter.RequestValidationInput, ok bool) {
	_, pattern := c.mux.Handler(r)
	if pattern == "" || path.Clean(r.URL.EscapedPath()) != r.URL.EscapedPath() {
		return nil, false
	}
	method, path := documented(pattern)
	item := c.doc.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil {
		return nil, false
	}
	params := map[string]string{}
	probe := http.NewServeMux()
	probe.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) {
		for _, part := range strings.Split(path, "/") {
			if name, isParam := strings.CutPrefix(part, "{"); isParam {
				name = strings.TrimSuffix(name, "}")
				params[name] = r.PathValue(name)
			}
		}
	})
	probe.ServeHTTP(nil, r)
	return &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params,
		Route: &routers.Route{
			Spec: c.doc, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method),
		},
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, SkipSettingDefaults: true,
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		},
	}, true
}

// check returns an error if an answer is not what the document says, or if a request succeeds that
// the document does not allow. body is that of the request.
func (c *contract) check(r *http.Request, body []byte, status int, header http.Header, answer []byte) error {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if len(answer) > 0 && err != nil {
		return fmt.Errorf("Content-Type %q: %w", header.Get("Content-Type"), err)
	}
	in, ok := c.find(r)
	if !ok {
		if status != http.StatusNotFound && status != http.StatusMethodNotAllowed && status != http.StatusForbidden {
			return fmt.Errorf("status %d, but the document has no such request", status)
		}
		problem := c.doc.Components.Schemas["Problem"].Value
		return visit(c.doc, problem, answer)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	wrong := openapi3filter.ValidateRequest(r.Context(), in)
	if wrong != nil && status < 400 {
		return fmt.Errorf("answered with %d, but the document does not allow the request: %w", status, wrong)
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: status, Header: header, Options: in.Options,
	}
	switch kind {
	case "text/event-stream", "text/html", "text/plain", "application/yaml", "application/xml", "application/x-pcapng", "application/x-tar":
		response := in.Route.Operation.Responses.Status(status)
		if response == nil || response.Value.Content.Get(kind) == nil {
			return fmt.Errorf("status %d with %s is not in the document", status, kind)
		}
		return nil
	}
	out.SetBodyBytes(answer)
	return openapi3filter.ValidateResponse(r.Context(), out)
}

// A checkedTransport reports a request or an answer that is not as the document says.
type checkedTransport struct {
	t     testing.TB
	inner http.RoundTripper
	*contract
}

func (c checkedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	res, err := c.inner.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	var answer []byte
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != "text/event-stream" && kind != "text/plain" && (r.URL.Path != "/v1/live" || res.StatusCode != http.StatusOK) {
		if answer, err = io.ReadAll(res.Body); err != nil {
			return nil, err
		}
		res.Body.Close()
		res.Body = io.NopCloser(bytes.NewReader(answer))
	}
	if err := c.check(r.Clone(r.Context()), body, res.StatusCode, res.Header, answer); err != nil {
		c.t.Errorf("%s %s %.200s: %d %.300s: %v", r.Method, r.URL.Path, body, res.StatusCode, answer, err)
	}
	return res, nil
}

// checked returns a transport that compares what passes inner with the document.
func checked(t testing.TB, inner http.RoundTripper) http.RoundTripper {
	t.Helper()
	return checkedTransport{t, inner, theContract(t)}
}

// dialControl returns a client whose requests, and their answers, are compared with the document.
func dialControl(t testing.TB, network, address string) *control.Client {
	t.Helper()
	c := control.Dial(network, address)
	c.Wrap(func(inner http.RoundTripper) http.RoundTripper { return checked(t, inner) })
	return c
}

// The document is one of OpenAPI 3.1, and describes exactly the requests that the server answers.
func TestDocumentDescribesEveryRoute(t *testing.T) {
	c := theContract(t)
	if !strings.HasPrefix(c.doc.OpenAPI, "3.1.") {
		t.Errorf("the document is of OpenAPI %s", c.doc.OpenAPI)
	}
	if err := c.doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Error(err)
	}
	routes := map[string]bool{}
	for _, pattern := range control.AllPatterns() {
		method, path := documented(pattern)
		routes[method+" "+path] = true
		item := c.doc.Paths.Value(path)
		if item == nil || item.GetOperation(method) == nil {
			t.Errorf("%s %s is not in the document: describe it in appliance/control/openapi/paths", method, path)
		}
	}
	ids := map[string]bool{}
	for path, item := range c.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !routes[method+" "+path] {
				t.Errorf("%s %s is in the document, but the server has no such route", method, path)
			}
			if op.Summary == "" || op.OperationID == "" || ids[op.OperationID] || len(op.Tags) != 1 {
				t.Errorf("%s %s: summary %q, operationId %q, tags %q", method, path, op.Summary, op.OperationID, op.Tags)
			}
			ids[op.OperationID] = true
			if op.Responses.Default() == nil {
				t.Errorf("%s %s does not describe the answer to a request that fails", method, path)
			}
		}
	}
}

// Every type of the document is used by a request.
func TestDocumentHasNoUnusedTypes(t *testing.T) {
	text := string(control.OpenAPI())
	for name := range theContract(t).doc.Components.Schemas {
		if !strings.Contains(text, `"#/components/schemas/`+name+`"`) {
			t.Errorf("no request uses the type %s", name)
		}
	}
}

// The parts of the document are made to be read: lines are short and have no trailing space.
func TestDocumentIsTidy(t *testing.T) {
	for i, line := range bytes.Split(control.OpenAPI(), []byte("\n")) {
		if len(line) > 140 || !bytes.Equal(bytes.TrimRight(line, " \t"), line) {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
}

// The index, the page and the document show the same requests.
func TestIndexAndPage(t *testing.T) {
	socket, _ := serve(t, startBox(t, nil))
	index, err := dialControl(t, "unix", socket).Index(within(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	client := socketClient(t, socket)
	_, page := sendRequest(t, client, "GET", "http://esasim"+index.Docs, "")
	for _, r := range index.Requests {
		got = append(got, r.Method+" "+r.Path)
		if !strings.Contains(page, `id="`+r.Method+r.Path+`"`) || r.Summary == "" {
			t.Errorf("the page does not show %s %s", r.Method, r.Path)
		}
	}
	var want []string
	for _, pattern := range control.Patterns() {
		method, path := documented(pattern)
		want = append(want, method+" "+path)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the index lists %q, want %q", got, want)
	}
	if strings.Contains(page, "<script") || !strings.Contains(page, "default-src &#39;none&#39;; style-src &#39;sha256-") {
		t.Errorf("the page has a script or no policy:\n%.600s", page)
	}
	if _, text := sendRequest(t, client, "GET", "http://esasim"+index.OpenAPI, ""); text != string(control.OpenAPI()) {
		t.Error("the document is not served as it is")
	}
}
