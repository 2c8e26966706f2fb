package control

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/esasim/esasim/appliance/box"
)

// Snapshots returns the snapshots in the order of their names.
func (c *Client) Snapshots(ctx context.Context) (list []box.SnapshotInfo, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/snapshots", nil, &list)
}

// SaveSnapshot saves the state of world and appliance under a name.
func (c *Client) SaveSnapshot(ctx context.Context, name string) (x box.SnapshotInfo, err error) {
	return x, c.do(ctx, http.MethodPost, "/v1/snapshots/"+url.PathEscape(name), nil, &x)
}

// SnapshotFile copies the file of a snapshot to w.
func (c *Client) SnapshotFile(ctx context.Context, name string, w io.Writer) error {
	return c.do(ctx, http.MethodGet, "/v1/snapshots/"+url.PathEscape(name), nil, w)
}

// PutSnapshot gives the simulator the file of a snapshot, under a name.
func (c *Client) PutSnapshot(ctx context.Context, name string, file io.Reader) (x box.SnapshotInfo, err error) {
	body := rawBody{snapshotType, file}
	return x, c.do(ctx, http.MethodPut, "/v1/snapshots/"+url.PathEscape(name), body, &x)
}

// RemoveSnapshot removes a snapshot.
func (c *Client) RemoveSnapshot(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/snapshots/"+url.PathEscape(name), nil, nil)
}
