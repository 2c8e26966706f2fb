package commands

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/refusal"
)

// The options of the inline form have the names of the vendor's CLI reference. Each is followed by
// its value: "--max_conn 10", or "--max_conn=10".

// setOptions calls the function of each option with its value.
func setOptions(args []string, options map[string]func(value string) error) error {
	for len(args) > 0 {
		name, value, joined := strings.Cut(args[0], "=")
		set, ok := options[strings.ToLower(name)]
		switch {
		case !ok:
			return invalidArgument(args[0], errNoOption(name, slices.Sorted(maps.Keys(options))))
		case joined:
			args = args[1:]
		case len(args) == 1:
			return invalidArgument(args[0], refusal.Newf("The option %s needs a value.", name))
		default:
			value, args = args[1], args[2:]
		}
		if err := set(value); err != nil {
			return invalidArgument(name+" "+value, err)
		}
	}
	return nil
}

// setPolicyOptions changes parameters of a policy of t, or of the table itself if t is empty.
func setPolicyOptions(p *listener.Parameters, t listener.HostTable, args []string) error {
	def := t.Effective(listener.Policy{})
	e := def.With(*p)
	err := setOptions(args, map[string]func(string) error{
		"--max_size": func(v string) error { return setSize(&e.MaxMessageSize, v) },
		"--max_conn": limitOption(&e.MaxConnections, def.MaxConnections, 0),
		"--max_msgs": limitOption(&e.MaxMessages, def.MaxMessages, 0),
		"--max_rcpt": limitOption(&e.MaxRecipients, def.MaxRecipients, 0),
		"--override": func(v string) error {
			e.BannerHost = &v
			if isNo(v) {
				e.BannerHost = nil
			}
			return nil
		},
		"--cust_acc": textOption(&e.Banner.Text, def.Banner.Text),
		"--acc_code": limitOption(&e.Banner.Code, def.Banner.Code, 0),
		"--cust_rej": textOption(&e.Reject.Text, def.Reject.Text),
		"--rej_code": limitOption(&e.Reject.Code, def.Reject.Code, 0),
		"--rate_lim": limitOption(&e.MaxRecipientsPerHour, def.MaxRecipientsPerHour, -1),
		"--cust_lim": textOption(&e.PerHour.Text, def.PerHour.Text),
		"--lim_code": limitOption(&e.PerHour.Code, def.PerHour.Code, 0),
		"--dhap":     limitOption(&e.MaxInvalidPerHour, def.MaxInvalidPerHour, 0),
	})
	if err == nil {
		p.Assign(e, def)
	}
	return err
}

func isNo(v string) bool { return strings.EqualFold(v, "no") }

// limitOption sets a number. No stands for off, default for the value that the table has.
func limitOption(to *int, def, off int) func(string) error {
	return func(v string) error {
		switch {
		case strings.EqualFold(v, "default"):
			*to = def
			return nil
		case isNo(v):
			*to = off
			return nil
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > mostRecipients {
			return refusal.Newf("The value must be an integer from 1 to %d.", mostRecipients)
		}
		*to = n
		return nil
	}
}

// textOption sets the text of an answer. No stands for the standard one.
func textOption(to *string, def string) func(string) error {
	return func(v string) error {
		if isNo(v) {
			*to = def
			return nil
		}
		*to = v
		return listener.CheckReply(v)
	}
}

// setRecipientOptions changes an entry of the recipient access table.
func setRecipientOptions(e *listener.RecipientEntry, args []string) error {
	code := e.Code
	err := setOptions(args, map[string]func(string) error{
		"--action": func(v string) error {
			e.Reject = strings.EqualFold(v, "reject")
			if !e.Reject && !strings.EqualFold(v, "accept") {
				return refusal.New("The value must be Accept or Reject.")
			}
			return nil
		},
		"--cust_resp": textOption(&e.Reply, ""),
		"--resp_code": limitOption(&code, 0, 0),
		"--bypass_rc": func(v string) error {
			e.Bypass = strings.EqualFold(v, "yes")
			if !e.Bypass && !isNo(v) {
				return refusal.New("The value must be Yes or No.")
			}
			return nil
		},
	})
	switch {
	case e.Reply == "":
		e.Code = 0
	case code != 0:
		e.Code = code
	case e.Reject:
		e.Code = 550
	default:
		e.Code = 250
	}
	return err
}
