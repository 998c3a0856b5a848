// Command testreport reads what `go test -json` writes and prints what a
// person wants of it: for each package the line that `go test` ends with, each
// skipped test with its reason, and everything that a failed test wrote. The
// exit code of `go test` says whether anything failed: run it with pipefail.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	if err := report(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// event is a line of `go test -json`: see `go doc test2json`, and for builds
// `go help buildjson`.
type event struct {
	Action  string
	Package string
	Test    string // empty: the package itself
	Output  string
}

// key is one test of one package; without a name it is the package itself.
type key struct{ pkg, test string }

// report copies the events of in to out as a person reads them.
func report(in io.Reader, out io.Writer) error {
	p := printer{out: out, wrote: map[key][]string{}, skipped: map[string][]string{}}
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				p.printf("%s", line) // not from a test
			} else {
				p.take(e)
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = p.err
			}
			return err
		}
	}
}

// printer keeps what tests write until it is known how they ended.
type printer struct {
	out     io.Writer
	err     error // of the first write that failed
	wrote   map[key][]string
	skipped map[string][]string // by package
	order   []key               // of wrote
}

func (p *printer) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.out, format, args...); err != nil && p.err == nil {
		p.err = err
	}
}

func (p *printer) take(e event) {
	at := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		p.printf("%s", e.Output)
	case "output":
		p.keep(at, e.Output)
	case "pass":
		p.end(at)
	case "skip":
		p.skip(at)
		p.end(at)
	case "fail":
		p.fail(at)
	}
}

// keep keeps a line, unless it is one of those by which -v accompanies a test.
func (p *printer) keep(at key, line string) {
	for _, mark := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME"} {
		if strings.HasPrefix(line, mark) {
			return
		}
	}
	if _, known := p.wrote[at]; !known {
		p.order = append(p.order, at)
	}
	p.wrote[at] = append(p.wrote[at], line)
}

// skip keeps the reason why a test was skipped.
func (p *printer) skip(at key) {
	if at.test == "" {
		return // a package without tests
	}
	var reason []string
	for _, line := range p.wrote[at] {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "--- SKIP") {
			reason = append(reason, line)
		}
	}
	p.skipped[at.pkg] = append(p.skipped[at.pkg], at.test+": "+strings.Join(reason, " "))
}

// end drops what a test that did not fail wrote; at the end of a package its
// last line and the skipped tests are printed.
func (p *printer) end(at key) {
	if at.test == "" {
		for _, line := range p.wrote[at] {
			if line != "PASS\n" {
				p.printf("%s", line)
			}
		}
		p.endPackage(at.pkg)
	}
	delete(p.wrote, at)
}

func (p *printer) endPackage(pkg string) {
	for _, skipped := range p.skipped[pkg] {
		p.printf("--- SKIP: %s\n", skipped)
	}
	delete(p.skipped, pkg)
	kept := p.order[:0]
	for _, at := range p.order {
		if at.pkg == pkg {
			delete(p.wrote, at)
		} else {
			kept = append(kept, at)
		}
	}
	p.order = kept
}

// fail prints what a failed test wrote. A package that failed may have been
// ended in the middle: then the tests that had not ended say why.
func (p *printer) fail(at key) {
	if at.test != "" {
		p.flush(at)
		return
	}
	for _, other := range p.order {
		if other.pkg == at.pkg && other.test != "" {
			p.flush(other)
		}
	}
	p.flush(at)
	p.endPackage(at.pkg)
}

func (p *printer) flush(at key) {
	for _, line := range p.wrote[at] {
		p.printf("%s", line)
	}
	delete(p.wrote, at)
}
