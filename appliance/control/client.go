package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim"
)

// A Client sends requests to a Server. It is safe for concurrent use. If the server refuses a
// request, the error is a *RequestError.
type Client struct {
	address string
	base    string
	prefix  string // stands for /v1 in the paths of requests about an appliance of a fleet
	http    http.Client
}

// Dial returns a client of the server at an address. network and address are "unix" and a
// path, or "tcp" and HOST:PORT. Dial does not connect: the client connects for each request.
func Dial(network, address string) *Client {
	c := &Client{address: address, base: "http://localhost"}
	if network != "unix" {
		c.base = "http://" + address
	}
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer //nolint:forbidigo // the machine's own socket
			return d.DialContext(ctx, network, address)
		},
	}
	return c
}

// ErrNoAnswer is wrapped by the error of a request if nothing listens at the address.
var ErrNoAnswer = errors.New("no appliance answers")

// Index lists what the server answers.
func (c *Client) Index(ctx context.Context) (x Index, err error) {
	return x, c.do(ctx, http.MethodGet, "/v1", nil, &x)
}

// Version says what runs.
func (c *Client) Version(ctx context.Context) (v Version, err error) {
	return v, c.do(ctx, http.MethodGet, "/v1/version", nil, &v)
}

// Health describes the appliance if it is up. Otherwise the error says why it is not.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	return h, c.do(ctx, http.MethodGet, "/v1/health", nil, &h)
}

// CopyTopology writes the topology as it is now to w, in the format of topology files.
func (c *Client) CopyTopology(ctx context.Context, w io.Writer) error {
	return c.do(ctx, http.MethodGet, "/v1/topology", nil, w)
}

// CopyMetrics writes the figures of the simulator to w, in the text format of Prometheus.
func (c *Client) CopyMetrics(ctx context.Context, w io.Writer) error {
	return c.do(ctx, http.MethodGet, "/v1/metrics", nil, w)
}

// Peers returns the simulated servers.
func (c *Client) Peers(ctx context.Context) (list []netsim.Server, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/peers", nil, &list)
}

// Peer returns one simulated server.
func (c *Client) Peer(ctx context.Context, name string) (s netsim.Server, err error) {
	return s, c.do(ctx, http.MethodGet, "/v1/peers/"+escape(name), nil, &s)
}

// SetPeer starts or stops a simulated server and returns its state afterwards.
func (c *Client) SetPeer(ctx context.Context, name string, running bool) (s netsim.Server, err error) {
	body := map[string]bool{"running": running}
	return s, c.do(ctx, http.MethodPut, "/v1/peers/"+escape(name), body, &s)
}

func escape(name string) string { return (&url.URL{Path: name}).EscapedPath() }

// Clock returns the state of the appliance's clock.
func (c *Client) Clock(ctx context.Context) (k Clock, err error) {
	return k, c.do(ctx, http.MethodGet, "/v1/clock", nil, &k)
}

// SetClock sets the clock to a time in the form of RFC 3339 or, in the appliance's time zone,
// in the form 2015-06-25 08:50:03.
func (c *Client) SetClock(ctx context.Context, to string) (k Clock, err error) {
	return k, c.do(ctx, http.MethodPut, "/v1/clock", map[string]string{"time": to}, &k)
}

// AdvanceClock sets the clock forward by d, or back if d is negative.
func (c *Client) AdvanceClock(ctx context.Context, d time.Duration) (k Clock, err error) {
	body := map[string]netsim.Duration{"advance": netsim.Duration(d)}
	return k, c.do(ctx, http.MethodPut, "/v1/clock", body, &k)
}

// Guard returns the addresses whose failed logins have an effect, the blocked ones first.
func (c *Client) Guard(ctx context.Context) (list []GuardAddress, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/guard", nil, &list)
}

// Free forgets the failed logins of an address, which unblocks it.
func (c *Client) Free(ctx context.Context, address string) error {
	return c.do(ctx, http.MethodDelete, "/v1/guard/"+url.PathEscape(address), nil, nil)
}

// FreeAll is Free for all addresses.
func (c *Client) FreeAll(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/v1/guard", nil, nil)
}

// do sends a request and decodes the answer into result unless that is nil. If result is an
// io.Writer, do copies the answer to it.
func (c *Client) do(ctx context.Context, method, path string, body, result any) error {
	res, err := c.send(ctx, method, path, body, "application/json")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if w, ok := result.(io.Writer); ok && res.StatusCode < http.StatusBadRequest {
		if _, err := io.Copy(w, res.Body); err != nil {
			return fmt.Errorf("copy the appliance's answer: %w", err)
		}
		return nil
	}
	text, err := c.read(res)
	if err != nil || result == nil {
		return err
	}
	if err := json.Unmarshal(text, result); err != nil {
		return fmt.Errorf("read the appliance's answer: %w", err)
	}
	return nil
}

// A rawBody is a body of a request that is not JSON.
type rawBody struct {
	contentType string
	text        io.Reader
}

// send sends a request whose answer is to be of a type. The caller closes the body of the answer.
func (c *Client) send(ctx context.Context, method, path string, body any, accept string) (
	*http.Response, error) {
	var r io.Reader
	contentType := "application/json"
	if raw, ok := body.(rawBody); ok {
		r, contentType = raw.text, raw.contentType
	} else if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(text)
	}
	if c.prefix != "" {
		path = c.prefix + strings.TrimPrefix(path, "/v1")
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", accept)
	res, err := c.http.Do(req)
	if err == nil {
		return res, nil
	}
	var failed *net.OpError
	var sent *url.Error
	switch {
	case errors.As(err, &failed) && failed.Op == "dial":
		return nil, fmt.Errorf("%w at %s: %w", ErrNoAnswer, c.address, failed.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("the appliance at %s did not answer in time: %w",
			c.address, context.DeadlineExceeded)
	case errors.As(err, &sent): // its text would repeat method and address
		err = sent.Err
	}
	return nil, fmt.Errorf("ask the appliance at %s: %w", c.address, err)
}

// read returns the body of an answer, or the error that it is.
func (c *Client) read(res *http.Response) ([]byte, error) {
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read the appliance's answer: %w", err)
	}
	if res.StatusCode < http.StatusBadRequest {
		return text, nil
	}
	var answer Problem
	if json.Unmarshal(text, &answer) != nil || answer.Error == "" {
		return nil, fmt.Errorf("%s answers %s: expected the control API of an appliance", c.address,
			res.Status)
	}
	return nil, &RequestError{
		Status: res.StatusCode, Text: answer.Error, Field: answer.Field, Value: answer.Value,
	}
}
