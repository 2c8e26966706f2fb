package control

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/packets"
)

// Cables returns the places at which packets can be observed.
func (c *Client) Cables(ctx context.Context) (list []netsim.Cable, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/cables", nil, &list)
}

// Live copies the packets of a cable to w as they pass, in the form pcapng, until ctx ends, the
// simulator stops or w returns an error. filter is one as of tcpdump and may be empty.
func (c *Client) Live(ctx context.Context, cable, filter string, w io.Writer) error {
	query := url.Values{"cable": {cable}}
	if filter != "" {
		query.Set("filter", filter)
	}
	res, err := c.send(ctx, http.MethodGet, "/v1/live?"+query.Encode(), nil, pcapngType)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		_, err := c.read(res)
		return err
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("copy packets: %w", err)
	}
	return nil
}

// Captures returns all captures of cables, the oldest first.
func (c *Client) Captures(ctx context.Context) (list []packets.Capture, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/captures", nil, &list)
}

// StartCapture starts a capture on a cable.
func (c *Client) StartCapture(ctx context.Context, r packets.CaptureRequest) (x packets.Capture, err error) {
	return x, c.do(ctx, http.MethodPost, "/v1/captures", r, &x)
}

// Capture returns the state of a capture.
func (c *Client) Capture(ctx context.Context, name string) (x packets.Capture, err error) {
	return x, c.do(ctx, http.MethodGet, "/v1/captures/"+url.PathEscape(name), nil, &x)
}

// StopCapture ends a capture.
func (c *Client) StopCapture(ctx context.Context, name string) (x packets.Capture, err error) {
	return x, c.do(ctx, http.MethodPost, "/v1/captures/"+url.PathEscape(name)+"/stop", nil, &x)
}

// RemoveCapture ends a capture and removes it.
func (c *Client) RemoveCapture(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/captures/"+url.PathEscape(name), nil, nil)
}

// CaptureFile copies the file of a capture to w, in the form pcapng.
func (c *Client) CaptureFile(ctx context.Context, name string, w io.Writer) error {
	return c.do(ctx, http.MethodGet, "/v1/captures/"+url.PathEscape(name)+"/pcapng", nil, w)
}
