package peers

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// An mxBehavior holds the options of a MailExchanger.
type mxBehavior struct {
	hostname   string
	banner     string        // the text after "220 "
	delay      time.Duration // before every reply
	starttls   bool
	implicit   bool // TLS from the first byte
	requireTLS bool
	closeAfter int    // this many commands the connection is closed; 0 means never
	size       int64  // the largest message accepted; 0 means any
	user       string // the only one that may log in; "" if AUTH is not offered
	password   string
}

// steps are the options that stand for rules: the reply at the stage of that name.
var steps = []string{
	topology.StageConnect, topology.StageEHLO, topology.StageHELO, topology.StageMAIL,
	topology.StageRCPT, topology.StageDATA, topology.StageEnd,
}

// rulesOfOptions returns the rules that options stand for, which have been checked.
func rulesOfOptions(options map[string]string) (rules []topology.MailRule) {
	for _, step := range steps {
		if reply := options[step]; reply != "" {
			rules = append(rules, topology.MailRule{
				Name: "option " + step, Action: topology.MailReplies, Reply: reply, Stage: step,
				Times: parseCount(options["times"]),
			})
		}
	}
	return rules
}

// mxBehaviorOf reads options that have been checked.
func mxBehaviorOf(c Config) mxBehavior {
	o := c.Options
	m := mxBehavior{
		hostname:   hostnameOf(c),
		starttls:   o["starttls"] == "" || isOn(o["starttls"]),
		implicit:   o["tls"] == "implicit",
		requireTLS: isOn(o["require_tls"]),
		closeAfter: parseCount(o["close"]),
		size:       int64(parseCount(o["size"])),
		user:       o["user"],
		password:   o["password"],
	}
	m.delay, _ = time.ParseDuration(o["delay"]) // "" is none
	m.banner = m.hostname + " ESMTP Service Ready"
	if b, ok := o["banner"]; ok {
		m.banner = b
	}
	return m
}

func checkAnswer(s string) error {
	_, err := topology.ParseMailReply(s)
	return err
}

func checkCount(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 1 {
		return fmt.Errorf("%q, expected a number from 1", s)
	}
	return nil
}

// parseCount returns 0 if s is not a number.
func parseCount(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func checkDelay(s string) error {
	if d, err := time.ParseDuration(s); err != nil || d < 0 {
		return fmt.Errorf("%q, expected a duration such as 2s", s)
	}
	return nil
}

func checkSwitch(s string) error {
	switch s {
	case "on", "yes", "true", "off", "no", "false":
		return nil
	}
	return fmt.Errorf("%q, expected on or off", s)
}

func isOn(s string) bool { return s == "on" || s == "yes" || s == "true" }

func checkTLS(s string) error {
	if s != "implicit" {
		return errors.New(strconv.Quote(s) + ", expected implicit")
	}
	return nil
}
