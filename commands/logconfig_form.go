package commands

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// syslogOptionsVersion is the first version in which the port, the tag, the message size, TLS
// and the disk buffer of a syslog push can be configured.
var syslogOptionsVersion = product.Version{Major: 11}

// fileNameQuestion is the question for the file name of subscriptions that have files.
const fileNameQuestion = "Filename to use for log files:"

// logForm asks the questions that NEW and EDIT share. It appends host keys that the administrator
// has accepted to keys.
func logForm(env *shell.Env, s *logs.Subscription, keys *[]logs.KnownHost) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		k := s.Type.Spec()
		return d.Form(ctx,
			debugForm(s),
			shell.When(func() bool { return k.Format == logs.Lines }, logLevel(&s.Level)),
			shell.When(func() bool { return k.Bounces },
				shell.Number(&s.BounceBytes,
					"How many bytes of a bounced message do you want to log?", 0, logs.MaxBounceBytes)),
			logMethod(env, s, k),
			shell.When(func() bool { return s.Method == logs.Manual }, fileForm(s)),
			shell.When(func() bool { return s.Method.Uploads() }, uploadForm(env, s, keys)),
			shell.When(func() bool { return s.Method == logs.Syslog }, syslogForm(env, s)),
		)
	}
}

// debugForm asks whose SMTP conversations a debug log records, and how many. The questions about
// domains are those of the vendor's note 118233.
func debugForm(s *logs.Subscription) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		switch s.Type {
		case logs.DomainDebug:
			return d.Form(ctx,
				shell.Text(&s.DebugHost, "Enter the name of the domain for which you want to record\n"+
					"debug information.", logs.CheckDebugDomain),
				shell.Number(&s.DebugSessions, "Please enter the number of SMTP sessions you want to record\n"+
					"for this domain.", 1, logs.MaxDebugSessions))
		case logs.InjectionDebug:
			return d.Form(ctx,
				shell.Text(&s.DebugHost, "Enter the IP address, the range of addresses or the host name for\n"+
					"which you want to record debug information.", logs.CheckDebugClient),
				shell.Number(&s.DebugSessions, "Please enter the number of SMTP sessions you want to record\n"+
					"for this host.", 1, logs.MaxDebugSessions))
		}
		return nil
	}
}

func logLevel(l *logs.Level) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		var titles []string
		for _, level := range logs.Levels() {
			titles = append(titles, level.Title())
		}
		i, err := d.Choose(ctx, "Log level:", slices.Index(logs.Levels(), *l), titles...)
		if err == nil {
			*l = logs.Levels()[i]
		}
		return err
	}
}

// logMethod asks for the method by which the logs are retrieved. A change resets the settings
// of the previous method.
func logMethod(env *shell.Env, s *logs.Subscription, k logs.TypeSpec) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		methods := []logs.Method{logs.Manual, logs.FTPPush, logs.SCPPush}
		if k.Facility != "" {
			methods = append(methods, logs.Syslog)
		}
		var titles []string
		for _, m := range methods {
			titles = append(titles, methodTitle(env, m))
		}
		i, err := d.Choose(ctx, "Choose the method to retrieve the logs.",
			slices.Index(methods, s.Method), titles...)
		if err != nil {
			return err
		}
		if was := s.Method; methods[i] != was {
			s.Method = methods[i]
			resetMethodSettings(s, was, k)
		}
		return nil
	}
}

// resetMethodSettings gives a subscription the default settings of its new method.
func resetMethodSettings(s *logs.Subscription, was logs.Method, k logs.TypeSpec) {
	s.Push = logs.SyslogPush{}
	if s.Method == logs.Syslog {
		s.Push = logs.SyslogPush{Port: syslog.Port, Protocol: "udp", Facility: k.Facility}
	}
	switch {
	case s.Method.Uploads() && was.Uploads(): // the server may be the same
		s.Remote.Port = 0
	case s.Method.Uploads():
		setIntervalSchedule(s)
	case was.Uploads():
		s.Remote = logs.UploadTarget{}
		s.Schedule, s.IntervalSeconds = logs.NoSchedule, 0
	}
}

// fileForm asks for the names of the files and for their rollover.
func fileForm(s *logs.Subscription) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		timed := s.Schedule != logs.NoSchedule
		suffix := s.HostSuffix || s.SerialSuffix
		return d.Form(ctx,
			shell.Text(&s.File, fileNameQuestion, logs.CheckFile),
			fileSize(&s.MaxSize),
			shell.Number(&s.MaxFiles, "Please enter the maximum number of files:", 1, logs.MaxFiles),
			shell.YesNo(&s.Alert, "Should an alert be sent when files are removed "+
				"due to the maximum number of files allowed?"),
			shell.YesNo(&timed, "Do you want to configure time-based log files rollover?"),
			scheduleForm(s, &timed),
			shell.YesNo(&suffix, "Do you want to add a suffix to the names of the log files?"),
			suffixForm(s, &suffix),
		)
	}
}

func suffixForm(s *logs.Subscription, wanted *bool) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		if !*wanted {
			s.HostSuffix, s.SerialSuffix = false, false
			return nil
		}
		var def []int
		for i, on := range []bool{s.HostSuffix, s.SerialSuffix} {
			if on {
				def = append(def, i)
			}
		}
		picked, err := d.ChooseSeveral(ctx, "Choose the suffixes, separated by commas.", def,
			"$hostname", "$serialnumber")
		if err == nil {
			s.HostSuffix, s.SerialSuffix = slices.Contains(picked, 0), slices.Contains(picked, 1)
		}
		return err
	}
}

// fileSize asks for the maximum size of a file.
func fileSize(size *int64) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		return askSize(ctx, d, size, "Please enter the maximum file size:", logs.MinSize, logs.MaxSize)
	}
}

// askSize asks for a number of bytes, which k or m may follow.
func askSize(
	ctx context.Context, d shell.Dialogue, size *int64, question string, least, most int64) error {
	n := *size
	_, err := d.Ask(ctx, question, strconv.FormatInt(n, 10), func(answer string) error {
		v, err := parseSize(answer)
		if err != nil || v < least || v > most {
			return refusal.Newf(
				"The value must be an integer from %d to %d; k or m may follow it.", least, most)
		}
		n = v
		return nil
	})
	if err == nil {
		*size = n
	}
	return err
}

func parseSize(s string) (int64, error) {
	low := strings.ToLower(s)
	unit := int64(1)
	for suffix, u := range map[string]int64{"k": 1 << 10, "m": 1 << 20} {
		if t, ok := strings.CutSuffix(low, suffix); ok {
			low, unit = strings.TrimSpace(t), u
		}
	}
	n, err := strconv.ParseInt(low, 10, 40)
	return n * unit, err
}

func scheduleForm(s *logs.Subscription, timed *bool) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		if !*timed {
			s.Schedule, s.IntervalSeconds, s.Day, s.TimeOfDay = logs.NoSchedule, 0, "", ""
			return nil
		}
		schedules := []logs.Schedule{logs.Interval, logs.Daily, logs.Weekly}
		i, err := d.Choose(ctx, "Configure log rollover settings:",
			max(slices.Index(schedules, s.Schedule), 0),
			"Custom time interval", "Daily rollover", "Weekly rollover")
		if err != nil {
			return err
		}
		s.Schedule = schedules[i]
		if s.Schedule == logs.Interval {
			s.Day, s.TimeOfDay = "", ""
			return askRolloverInterval(ctx, d, &s.IntervalSeconds)
		}
		s.IntervalSeconds = 0
		if s.TimeOfDay == "" {
			s.TimeOfDay = "00:00"
		}
		if s.Schedule == logs.Daily {
			s.Day = ""
		} else if s.Day == "" {
			s.Day = "Monday"
		}
		return d.Form(ctx,
			shell.When(func() bool { return s.Schedule == logs.Weekly },
				shell.OneOf(&s.Day,
					"Choose the day of the week to roll over the log files.", logs.Weekdays()...)),
			shell.Text(&s.TimeOfDay,
				"Enter the time of day to roll over the log files, in 24-hour format (HH:MM):",
				logs.CheckTimeOfDay),
		)
	}
}

// askRolloverInterval asks for an interval, in seconds or with units.
func askRolloverInterval(ctx context.Context, d shell.Dialogue, seconds *int) error {
	n := *seconds
	if n == 0 {
		n = logs.DefaultInterval
	}
	_, err := d.Ask(ctx, "Enter the time interval to roll over the log files, "+
		"in seconds or in a form such as 90m, 4h or 2d:", strconv.Itoa(n),
		func(answer string) error {
			v, ok := parseInterval(answer)
			if !ok || v < logs.MinInterval || v > logs.MaxInterval {
				return refusal.Newf("The time must be from %d seconds to %d days.",
					logs.MinInterval, logs.MaxInterval/86400)
			}
			n = v
			return nil
		})
	if err == nil {
		*seconds = n
	}
	return err
}

// parseInterval parses "3600", "1h 30m" or "2d".
func parseInterval(s string) (seconds int, ok bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return n, true
	}
	var sum time.Duration
	for part := range strings.FieldsSeq(strings.ToLower(s)) {
		if days, ok := strings.CutSuffix(part, "d"); ok {
			n, err := strconv.Atoi(days)
			if err != nil || n < 0 || n > 10_000 {
				return 0, false
			}
			sum += time.Duration(n) * 24 * time.Hour
			continue
		}
		n, err := time.ParseDuration(part)
		if err != nil {
			return 0, false
		}
		sum += n
	}
	return int(sum / time.Second), sum > 0
}

// syslogForm asks for the syslog server and the protocol.
func syslogForm(env *shell.Env, s *logs.Subscription) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		p := &s.Push
		options := func() bool { return !env.Appliance.Product.Version.Before(syslogOptionsVersion) }
		port, tag := int(p.Port), p.Tag
		if tag == "" {
			tag = s.Name
		}
		err := d.Form(ctx,
			shell.Text(&p.Host, deliverToQuestion, logs.CheckHost),
			shell.When(options, shell.Number(&port, "Port of the syslog server:", 1, 65535)),
			pushProtocol(p),
			shell.OneOf(&p.Facility,
				"Which facility do you want the log data to be sent as?", syslog.Facilities()...),
			shell.When(options,
				messageSize(p),
				shell.When(func() bool { return p.Protocol == "tcp" }, tlsField(p), diskBuffer(p)),
				shell.Text(&tag, "Tag of the records:", logs.CheckTag),
			),
		)
		if err != nil {
			return err
		}
		p.Port = uint16(port)
		if p.Protocol == "udp" {
			p.TLS, p.Buffer = false, 0
		}
		p.Verify = p.Verify && p.TLS
		if p.Tag = tag; tag == s.Name {
			p.Tag = ""
		}
		return nil
	}
}

// tlsField asks for TLS and for the verification of the server's certificate. Verification is
// the default if TLS was off before.
func tlsField(p *logs.SyslogPush) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		wasPlain := !p.TLS
		err := d.Form(ctx, shell.YesNo(&p.TLS, "Do you want to use TLS?"))
		if err != nil || !p.TLS {
			return err
		}
		p.Verify = p.Verify || wasPlain
		d.PrintWrapped("Certificate authorities are trusted if their certificates " +
			"(.pem, .crt, .cer) are in the directory configuration.")
		return d.Form(ctx,
			shell.YesNo(&p.Verify, "Do you want to verify the certificate of the server?"))
	}
}

// pushProtocol asks for the transport protocol.
func pushProtocol(p *logs.SyslogPush) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		protocols := []string{"udp", "tcp"}
		i, err := d.Choose(ctx, "Which protocol do you want to use to transfer the log data?",
			slices.Index(protocols, p.Protocol), "UDP", "TCP")
		if err == nil {
			p.Protocol = protocols[i]
		}
		return err
	}
}

func messageSize(p *logs.SyslogPush) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		least, most := p.MessageSizeLimits()
		if p.MaxMessage == 0 || p.MaxMessage > most {
			p.MaxMessage = most
		}
		return shell.Number(&p.MaxMessage, "Maximum message size, in bytes:", least, most)(ctx, d)
	}
}

// diskBuffer asks whether messages are kept on disk while the server cannot be reached.
func diskBuffer(p *logs.SyslogPush) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		keep := p.Buffer > 0
		err := d.Form(ctx, shell.YesNo(&keep,
			"Do you want to keep the log data on disk while the syslog server cannot be reached?"))
		if err != nil || !keep {
			p.Buffer = 0
			return err
		}
		if p.Buffer == 0 {
			p.Buffer = logs.DefaultBuffer
		}
		return askSize(ctx, d, &p.Buffer, "Size of the disk buffer:", logs.MinBuffer, logs.MaxBuffer)
	}
}
