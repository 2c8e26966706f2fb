package control

import (
	"context"
	"errors"
	"net/http"

	"github.com/esasim/esasim/appliance/box"
)

// A Power says whether the appliance is switched on.
type Power struct {
	State box.PowerState `json:"state"`
}

func (s *Server) getPower(*http.Request) (any, error) { return Power{s.box.Power()}, nil }

// putPower switches the appliance on or off, after a reboot that is in progress.
func (s *Server) putPower(r *http.Request) (any, error) {
	var body Power
	if _, err := readBody(r, &body); err != nil {
		return nil, err
	}
	if err := s.box.WaitSettled(r.Context()); err != nil && !errors.Is(err, box.ErrOff) {
		return nil, err
	}
	var err error
	switch body.State {
	case box.PowerIsOn:
		err = s.box.PowerOn(r.Context())
	case box.PowerIsOff:
		err = s.box.PowerOff(r.Context())
	default:
		return nil, badField("state", body.State, "%q, expected on or off", body.State)
	}
	return Power{s.box.Power()}, err
}

func (s *Server) reboot(r *http.Request) (any, error) {
	err := s.box.Reboot(r.Context())
	return Power{s.box.Power()}, err
}

// A Console says whether the serial consoles are connected.
type Console struct {
	Connected bool `json:"connected"`
}

func (s *Server) getConsole(*http.Request) (any, error) {
	return Console{s.box.ConsoleConnected()}, nil
}

func (s *Server) putConsole(r *http.Request) (any, error) {
	var body struct {
		Connected *bool `json:"connected"`
	}
	if _, err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.Connected == nil {
		return nil, badField("connected", nil, `expected {"connected": true} or {"connected": false}`)
	}
	s.box.ConnectConsole(*body.Connected)
	return s.getConsole(r)
}

// Power returns whether the appliance is switched on.
func (c *Client) Power(ctx context.Context) (p Power, err error) {
	return p, c.do(ctx, http.MethodGet, "/v1/power", nil, &p)
}

// SetPower switches the appliance on or off, and waits until that is done.
func (c *Client) SetPower(ctx context.Context, on bool) (p Power, err error) {
	body := Power{box.PowerIsOff}
	if on {
		body.State = box.PowerIsOn
	}
	return p, c.do(ctx, http.MethodPut, "/v1/power", body, &p)
}

// Reboot reboots the appliance and waits until it is up.
func (c *Client) Reboot(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/v1/power/reboot", nil, nil)
}

// ConsoleConnected reports whether the serial consoles are connected.
func (c *Client) ConsoleConnected(ctx context.Context) (bool, error) {
	var answer Console
	err := c.do(ctx, http.MethodGet, "/v1/console", nil, &answer)
	return answer.Connected, err
}

// ConnectConsole connects or disconnects the serial consoles.
func (c *Client) ConnectConsole(ctx context.Context, connected bool) error {
	return c.do(ctx, http.MethodPut, "/v1/console", Console{connected}, nil)
}
