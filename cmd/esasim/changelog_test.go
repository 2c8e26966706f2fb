package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The files of the changelog have the form that its README describes.
func TestChangelog(t *testing.T) {
	dir := filepath.Join(root, ".github", "changelog")
	folder := regexp.MustCompile(`^(unreleased|[0-9]+\.[0-9]+\.[0-9]+_[0-9]{4}-[0-9]{2}-[0-9]{2})$`)
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		parts := strings.Split(filepath.ToSlash(rel), "/")
		switch {
		case rel == "README.md":
			return nil
		case rel == "TEMPLATE":
		case len(parts) != 2 || !folder.MatchString(parts[0]) || !name.MatchString(parts[1]):
			t.Errorf("%s: expected unreleased/NAME or VERSION_DATE/NAME", rel)
		default:
			files++
		}
		if err := checkChange(string(text)); err != nil {
			t.Errorf("%s: %v", rel, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Error("there are no changes")
	}
}

// checkChange reports what is wrong with the form of a change's text.
func checkChange(text string) error {
	sections := strings.Split(text, "\n\n")
	summary := sections[0]
	last := sections[len(sections)-1]
	link := regexp.MustCompile(`^https://\S+$`)
	body := sections[1:]
	if len(body) > 0 && link.MatchString(strings.SplitN(last, "\n", 2)[0]) {
		body = body[:len(body)-1]
		for _, l := range strings.Split(strings.TrimSuffix(last, "\n"), "\n") {
			if !link.MatchString(l) {
				return fmt.Errorf("%q is not a link", l)
			}
		}
	}
	switch {
	case !regexp.MustCompile(`^(Bugfix|Enhancement|Change): [A-Z].*[^.\s]$`).MatchString(summary):
		return fmt.Errorf("expected Bugfix, Enhancement or Change, a colon and a summary without a full stop, not %q", summary)
	case utf8.RuneCountInString(summary) > 80:
		return fmt.Errorf("the summary has %d characters, expected at most 80", utf8.RuneCountInString(summary))
	case len(body) == 0:
		return errors.New("expected a description after an empty line")
	case !strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\n\n"):
		return errors.New("expected one line end at the end")
	}
	for _, paragraph := range body {
		if strings.HasPrefix(paragraph, "\n") {
			return errors.New("expected one empty line between paragraphs")
		}
		for _, l := range strings.Split(strings.TrimSuffix(paragraph, "\n"), "\n") {
			if utf8.RuneCountInString(l) > 100 || strings.TrimRight(l, " \t") != l || l == "" {
				return fmt.Errorf("expected a line of at most 100 characters without space at its end, not %q", l)
			}
		}
	}
	return nil
}

func TestChangelogRefusesOtherForms(t *testing.T) {
	for text, want := range map[string]string{
		"Enhancement: Add a thing\n\nIt is there.\n":                             "",
		"Bugfix: Mend a thing\n\nIt was broken.\n\nIt works.\n\nhttps://x.org\n": "",
		"Enhancement: Add a thing.\n\nIt is there.\n":                            "without a full stop",
		"Feature: Add a thing\n\nIt is there.\n":                                 "expected Bugfix",
		"Enhancement: Add a thing\nIt is there.\n":                               "expected Bugfix",
		"Change: Add a thing\n\nhttps://x.org\n":                                 "expected a description",
		"Change: Add a thing":                                                    "expected a description",
		"Change: Add a thing\n\nIt is there.":                                    "one line end",
		"Change: Add a thing\n\nIt is there. \n":                                 "without space",
		"Change: Add a thing\n\n\nIt is there.\n":                                "one empty line",
		"Change: Add a thing\n\nIt.\n\nhttps://x.org\nmore\n":                    `"more" is not a link`,
		"Change: A" + strings.Repeat("d", 80) + "\n\nIt is there.\n":             "has 89 characters",
	} {
		err := checkChange(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
