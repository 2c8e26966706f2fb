package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/esasim/esasim/appliance/check"
)

// checkRun looks for contradictions in what a run has left.
type checkRun struct {
	Record   string   `arg:"" optional:"" predictor:"file" help:"The file that esasim --record FILE has written."`
	Captures []string `arg:"" optional:"" predictor:"file" help:"Captures of that run, pcap or pcapng, each as FILE or INTERFACE=FILE."`
	Logs     string   `placeholder:"DIR" predictor:"file" help:"A directory with the log files of the appliance, as its file area has them."`
	Files    string   `placeholder:"DIR" predictor:"file" help:"A directory with files that were fetched from the appliance or stored on it."`
	List     bool     `help:"List the invariants that are verified, and check nothing."`
	JSON     bool     `name:"json" help:"Print JSON."`
}

// statusUnreadable is the exit status if a file cannot be read.
const statusUnreadable = 2

// Help is shown by esasim check --help.
func (checkRun) Help() string {
	return `The record, the captures, the logs and the files of a run have to tell one story. This verb
verifies a numbered list of invariants and prints each contradiction with the lines and frames that
contradict each other.

    esasim --record run.jsonl --ephemeral
    esasim check run.jsonl 'Data 1=C100V-20261201-120000.cap'

A capture of the appliance itself needs no interface: the record knows its file name. Without a
capture only the record is checked. The exit status is 0 if there is no contradiction, 1 if there is
one, and 2 if a file cannot be read.`
}

func (c *checkRun) Run(t stdio) error {
	if c.List {
		return c.list(t)
	}
	if c.Record == "" {
		return &statusError{errors.New("expected a file that esasim --record FILE has written"), statusUnreadable}
	}
	run, err := c.read()
	if err != nil {
		return &statusError{err, statusUnreadable}
	}
	report := run.Check()
	if c.JSON {
		if err := printJSON(t.out, report); err != nil {
			return err
		}
	} else {
		printReport(t, report)
	}
	if n := len(report.Contradictions) + report.More; n > 0 {
		return fmt.Errorf("contradictions: %d", n)
	}
	return nil
}

func (c *checkRun) list(t stdio) error {
	if c.JSON {
		return printJSON(t.out, check.Invariants())
	}
	for _, i := range check.Invariants() {
		fmt.Fprintf(t.out, "%2d  %s\n    %s\n", i.Number, i.Name, i.Sentence)
	}
	return nil
}

func printReport(t stdio, r *check.Report) {
	fmt.Fprintf(t.out, "%d events and %d frames, %d invariants\n", r.Events, r.Frames, r.Invariants)
	for _, c := range r.Contradictions {
		fmt.Fprintf(t.out, "\n%d %s: %s\n", c.Invariant, c.Name, c.Text)
		for _, w := range c.Witnesses {
			fmt.Fprintf(t.out, "    %v\n", w)
		}
	}
	if r.More > 0 {
		fmt.Fprintf(t.out, "\nand %d more\n", r.More)
	}
}

// read reads all files.
func (c *checkRun) read() (*check.Run, error) {
	run := &check.Run{}
	var err error
	if run.Record, err = readFile(c.Record, check.ReadRecord); err != nil {
		return nil, err
	}
	for _, arg := range c.Captures {
		name, file := "", arg
		if _, err := os.Stat(arg); errors.Is(err, fs.ErrNotExist) && strings.Contains(arg, "=") {
			name, file, _ = strings.Cut(arg, "=")
		}
		x, err := readFile(file, check.ReadCapture)
		if err != nil {
			return nil, err
		}
		x.Interface = name
		run.Captures = append(run.Captures, x)
	}
	if run.Logs, err = readDir(c.Logs, check.ReadLog); err != nil {
		return nil, err
	}
	if run.Files, err = readDir(c.Files, check.ReadFetched); err != nil {
		return nil, err
	}
	return run, nil
}

// readFile reads a file with one of the readers of package check.
func readFile[T any](name string, read func(string, io.Reader) (T, error)) (T, error) {
	var none T
	f, err := os.Open(name)
	if err != nil {
		return none, err // it names the file and what failed
	}
	defer f.Close()
	return read(name, f)
}

// readDir reads all files below a directory. "" has none.
func readDir[T any](dir string, read func(string, io.Reader) (T, error)) ([]T, error) {
	if dir == "" {
		return nil, nil
	}
	var list []T
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		x, err := readFile(path, read)
		if err == nil {
			list = append(list, x)
		}
		return err
	})
	return list, err
}
