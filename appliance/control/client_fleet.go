package control

import (
	"context"
	"net/http"
	"net/url"

	"github.com/esasim/esasim/appliance/fleet"
)

// Of returns a client of one appliance of the fleet whose server c asks. Its requests are those of a
// single appliance.
func (c *Client) Of(appliance string) *Client {
	return &Client{
		address: c.address, base: c.base, http: c.http,
		prefix: "/v1/appliances/" + url.PathEscape(appliance),
	}
}

// Appliances lists the appliances of a fleet.
func (c *Client) Appliances(ctx context.Context) (list []fleet.Appliance, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/appliances", nil, &list)
}

// SetAppliance starts or stops an appliance of a fleet and returns what it is afterwards.
func (c *Client) SetAppliance(ctx context.Context, name string, running bool) (a fleet.Appliance, err error) {
	body := map[string]bool{"running": running}
	return a, c.do(ctx, http.MethodPut, "/v1/appliances/"+url.PathEscape(name), body, &a)
}
