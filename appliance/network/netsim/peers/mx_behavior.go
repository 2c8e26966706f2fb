package peers

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// An mxBehavior holds the options of a MailExchanger.
type mxBehavior struct {
	hostname   string
	banner     string            // the text after "220 "
	answers    map[string]answer // error replies, by step
	times      int               // how often each is sent; 0 means always
	delay      time.Duration     // before every reply
	starttls   bool
	implicit   bool // TLS from the first byte
	requireTLS bool
	closeAfter int   // this many commands the connection is closed; 0 means never
	size       int64 // the largest message accepted; 0 means any
}

// steps are the steps of a conversation at which a MailExchanger can send an error reply:
// the greeting, the commands, and the end of the message.
var steps = []string{"connect", "ehlo", "helo", "mail", "rcpt", "data", "end"}

// mxBehaviorOf reads options that have been checked.
func mxBehaviorOf(c Config) mxBehavior {
	o := c.Options
	m := mxBehavior{
		hostname:   hostnameOf(c),
		answers:    map[string]answer{},
		times:      parseCount(o["times"]),
		starttls:   o["starttls"] == "" || isOn(o["starttls"]),
		implicit:   o["tls"] == "implicit",
		requireTLS: isOn(o["require_tls"]),
		closeAfter: parseCount(o["close"]),
		size:       int64(parseCount(o["size"])),
	}
	m.delay, _ = time.ParseDuration(o["delay"]) // "" is none
	m.banner = m.hostname + " ESMTP Service Ready"
	if b, ok := o["banner"]; ok {
		m.banner = b
	}
	for _, s := range steps {
		if a, err := parseAnswer(o[s]); err == nil {
			m.answers[s] = a
		}
	}
	return m
}

// An answer is an error reply.
type answer struct {
	code     int
	enhanced string // "4.2.0", or ""
	text     string
}

var answerForm = regexp.MustCompile(`^([45][0-9][0-9])(?: ([45]\.[0-9]{1,3}\.[0-9]{1,3}))?(?: (.+))?$`)

func parseAnswer(s string) (answer, error) {
	m := answerForm.FindStringSubmatch(s)
	if m == nil || strings.ContainsAny(s, "\r\n") {
		return answer{}, fmt.Errorf("%q is not an error reply, expected a code from 400 to 599 and "+
			"a text, such as \"450 4.2.0 greylisted\"", s)
	}
	code, _ := strconv.Atoi(m[1]) // three digits
	return answer{code, m[2], m[3]}, nil
}

func (a answer) String() string {
	return strings.Join(strings.Fields(fmt.Sprint(a.code, " ", a.enhanced, " ", a.text)), " ")
}

// smtpError returns the reply as an error of go-smtp.
func (a answer) smtpError() error {
	e := &smtp.SMTPError{Code: a.code, EnhancedCode: smtp.NoEnhancedCode, Message: a.text}
	if a.enhanced != "" {
		for i, digits := range strings.Split(a.enhanced, ".") {
			e.EnhancedCode[i] = parseCount(digits)
		}
	}
	return e
}

func checkAnswer(s string) error {
	_, err := parseAnswer(s)
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
