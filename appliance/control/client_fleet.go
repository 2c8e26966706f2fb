package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/esasim/esasim/appliance/fleet"
	"github.com/esasim/esasim/appliance/network/netsim"
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

// Networks lists the networks that appliances of a fleet share.
func (c *Client) Networks(ctx context.Context) (list []fleet.Network, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/fleet/networks", nil, &list)
}

// SetAppliance starts or stops an appliance of a fleet and returns what it is afterwards.
func (c *Client) SetAppliance(ctx context.Context, name string, running bool) (a fleet.Appliance, err error) {
	body := map[string]bool{"running": running}
	return a, c.do(ctx, http.MethodPut, "/v1/appliances/"+url.PathEscape(name), body, &a)
}

// RebootFleet reboots all appliances of a fleet, at most parallel of them at a time.
func (c *Client) RebootFleet(ctx context.Context, parallel int) (o fleet.Outcome, err error) {
	return o, c.do(ctx, http.MethodPost, "/v1/fleet/reboot?parallel="+strconv.Itoa(parallel), nil, &o)
}

// ResetFleet resets all appliances of a fleet. confirm allows it if their data outlast the program.
func (c *Client) ResetFleet(ctx context.Context, confirm bool) (o fleet.Outcome, err error) {
	path := "/v1/fleet/reset"
	if confirm {
		path += "?confirm=1"
	}
	return o, c.do(ctx, http.MethodPost, path, nil, &o)
}

// SetFleetClocks sets the clocks of a fleet to a time in the form of RFC 3339, or to their own if that
// is "", plus advance, plus step for each further appliance.
func (c *Client) SetFleetClocks(ctx context.Context, to string, advance, step time.Duration) (o fleet.Outcome, err error) {
	body := map[string]any{}
	if to != "" {
		body["time"] = to
	}
	if advance != 0 {
		body["advance"] = netsim.Duration(advance)
	}
	if step != 0 {
		body["step"] = netsim.Duration(step)
	}
	return o, c.do(ctx, http.MethodPut, "/v1/fleet/clock", body, &o)
}

// PutFleetFault puts a fault with the given keys of a rule on a share of a fleet, such as "10%", and
// removes it from the rest.
func (c *Client) PutFleetFault(ctx context.Context, name, share string, keys map[string]string) (
	o fleet.Outcome, err error,
) {
	path := "/v1/fleet/faults/" + url.PathEscape(name) + "?share=" + url.QueryEscape(share)
	return o, c.do(ctx, http.MethodPut, path, keys, &o)
}

// RemoveFleetFault removes a fault from all appliances of a fleet.
func (c *Client) RemoveFleetFault(ctx context.Context, name string) (o fleet.Outcome, err error) {
	return o, c.do(ctx, http.MethodDelete, "/v1/fleet/faults/"+url.PathEscape(name), nil, &o)
}
