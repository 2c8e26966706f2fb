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
	"strconv"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim"
)

// A Client asks a Server. Errors of its methods are sentences for people. It is safe for
// concurrent use.
type Client struct {
	where string
	base  string
	http  http.Client
}

// Dial returns a client of the server at an address: "unix" and a path, or "tcp" and
// HOST:PORT. Nothing is sent yet.
func Dial(network, address string) *Client {
	c := &Client{where: address, base: "http://localhost"}
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

// ErrNoAnswer is wrapped by the errors of requests to an address at which nothing listens.
var ErrNoAnswer = errors.New("no appliance answers")

// A RequestError is the answer of a server that refused a request.
type RequestError struct {
	Status int    // of HTTP: 400 or more
	Text   string // a sentence for people
}

func (e *RequestError) Error() string { return e.Text }

// Health returns how the appliance is. The error says why it is not up.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	return h, c.do(ctx, http.MethodGet, "/v1/health", nil, &h)
}

// Faults lists the faults in the order in which they are asked.
func (c *Client) Faults(ctx context.Context) (list []netsim.Fault, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/faults", nil, &list)
}

// AddFault sets a fault. rule is a topology.Rule, or something that is written in JSON as one,
// such as a map with its keys.
func (c *Client) AddFault(ctx context.Context, rule any) (f netsim.Fault, err error) {
	return f, c.do(ctx, http.MethodPost, "/v1/faults", rule, &f)
}

// RemoveFault takes a fault away.
func (c *Client) RemoveFault(ctx context.Context, id int) error {
	return c.do(ctx, http.MethodDelete, "/v1/faults/"+strconv.Itoa(id), nil, nil)
}

// ClearFaults takes all faults away.
func (c *Client) ClearFaults(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/v1/faults", nil, nil)
}

// Peers lists the simulated servers.
func (c *Client) Peers(ctx context.Context) (list []netsim.Server, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/peers", nil, &list)
}

// Peer is one of them.
func (c *Client) Peer(ctx context.Context, name string) (s netsim.Server, err error) {
	return s, c.do(ctx, http.MethodGet, "/v1/peers/"+escape(name), nil, &s)
}

// SetPeer starts or stops a simulated server.
func (c *Client) SetPeer(ctx context.Context, name string, running bool) (s netsim.Server, err error) {
	return s, c.do(ctx, http.MethodPut, "/v1/peers/"+escape(name), map[string]bool{"running": running}, &s)
}

func escape(name string) string { return (&url.URL{Path: name}).EscapedPath() }

// Clock is the appliance's.
func (c *Client) Clock(ctx context.Context) (k Clock, err error) {
	return k, c.do(ctx, http.MethodGet, "/v1/clock", nil, &k)
}

// SetClock sets it: to a time in RFC 3339, or one of the appliance's zone,
// 2015-06-25 08:50:03.
func (c *Client) SetClock(ctx context.Context, to string) (k Clock, err error) {
	return k, c.do(ctx, http.MethodPut, "/v1/clock", map[string]string{"time": to}, &k)
}

// AdvanceClock sets it on.
func (c *Client) AdvanceClock(ctx context.Context, d time.Duration) (k Clock, err error) {
	return k, c.do(ctx, http.MethodPut, "/v1/clock", map[string]netsim.Duration{"advance": netsim.Duration(d)}, &k)
}

// do sends a request and reads the answer into result, unless that is nil.
func (c *Client) do(ctx context.Context, method, path string, body, result any) error {
	var r io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		var failed *net.OpError
		var sent *url.Error
		switch {
		case errors.As(err, &failed) && failed.Op == "dial":
			return fmt.Errorf("%w at %s: %w", ErrNoAnswer, c.where, failed.Err)
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("the appliance at %s did not answer in time: %w", c.where, context.DeadlineExceeded)
		case errors.As(err, &sent): // its text would repeat method and address
			err = sent.Err
		}
		return fmt.Errorf("ask the appliance at %s: %w", c.where, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read the appliance's answer: %w", err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		var answer struct{ Error string }
		if json.Unmarshal(text, &answer) != nil || answer.Error == "" {
			return fmt.Errorf("%s answers %s: expected the control API of an appliance", c.where, res.Status)
		}
		return &RequestError{res.StatusCode, answer.Error}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(text, result); err != nil {
		return fmt.Errorf("read the appliance's answer: %w", err)
	}
	return nil
}
