package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/esasim/esasim/appliance/network/netsim"
)

// Faults returns the faults in the order in which they are evaluated.
func (c *Client) Faults(ctx context.Context) (list []netsim.Fault, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/faults", nil, &list)
}

// AddFault adds a fault. rule is a topology.Rule, a FaultSpec, or a value that has the same form in
// JSON, such as a map with the keys of a rule.
func (c *Client) AddFault(ctx context.Context, rule any) (f netsim.Fault, err error) {
	return f, c.do(ctx, http.MethodPost, "/v1/faults", rule, &f)
}

// SetFaults replaces all faults by others, in the order of evaluation.
func (c *Client) SetFaults(ctx context.Context, list []FaultSpec) (set []netsim.Fault, err error) {
	if list == nil {
		list = []FaultSpec{}
	}
	return set, c.do(ctx, http.MethodPut, "/v1/faults", list, &set)
}

// Fault returns the fault with a number or a name.
func (c *Client) Fault(ctx context.Context, ref string) (f netsim.Fault, err error) {
	return f, c.do(ctx, http.MethodGet, faultPath(ref), nil, &f)
}

// PutFault makes the fault with a number or a name what rule says, and creates it if there is none
// of that name. If it is that already, PutFault does nothing. rule is as that of AddFault.
func (c *Client) PutFault(ctx context.Context, ref string, rule any) (f netsim.Fault, err error) {
	return f, c.do(ctx, http.MethodPut, faultPath(ref), rule, &f)
}

// PatchFault changes some keys of the fault with a number or a name; a nil removes a key. The key
// "enabled" is true or false.
func (c *Client) PatchFault(ctx context.Context, ref string, keys map[string]any) (
	f netsim.Fault, err error) {
	return f, c.do(ctx, http.MethodPatch, faultPath(ref), keys, &f)
}

// EnableFault enables or disables the fault with a number or a name.
func (c *Client) EnableFault(ctx context.Context, ref string, enabled bool) (netsim.Fault, error) {
	return c.PatchFault(ctx, ref, map[string]any{"enabled": enabled})
}

// RemoveFault removes a fault.
func (c *Client) RemoveFault(ctx context.Context, id int) error {
	return c.DeleteFault(ctx, strconv.Itoa(id))
}

// DeleteFault removes the fault with a number or a name.
func (c *Client) DeleteFault(ctx context.Context, ref string) error {
	return c.do(ctx, http.MethodDelete, faultPath(ref), nil, nil)
}

// ClearFaults removes all faults, including those of the topology.
func (c *Client) ClearFaults(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/v1/faults", nil, nil)
}

func faultPath(ref string) string { return "/v1/faults/" + url.PathEscape(ref) }

// Presets returns the sets of faults that have a name.
func (c *Client) Presets(ctx context.Context) (list []netsim.Preset, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/presets", nil, &list)
}

// SetPreset adds the faults of a preset, or removes them.
func (c *Client) SetPreset(ctx context.Context, name string, active bool) error {
	method := http.MethodPut
	if !active {
		method = http.MethodDelete
	}
	return c.do(ctx, method, "/v1/presets/"+url.PathEscape(name), nil, nil)
}
