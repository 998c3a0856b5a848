package main

import (
	"errors"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"daemon-proxy/core/wiretest"
)

// TestScripts runs testdata/script/*.txtar. Each is a desk of its own, with a
// home and a port (see environment); $SERVICE is the port of a service on this
// machine that answers with the path. The commands of the scripts, beside
// those of testscript:
//
//	exits CODE PROGRAM ...      it ends with that code; if it fails, it prints nothing to stdout
//	until PATTERN PROGRAM ...   it is run again until its output matches
//	capture NAME PATTERN        $NAME is what the first group matched in stdout
//	get STATUS URL PATTERN      a GET by a browser; the answer matches
func TestScripts(t *testing.T) {
	t.Parallel()
	service := onTheHost(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			d := desk{dir: e.WorkDir, port: wiretest.FreePort(t)}
			e.Vars = append(e.Vars, "SERVICE="+service, "PORT="+strconv.Itoa(d.port), "ESC=\x1b")
			for _, v := range d.environment() {
				if !strings.HasPrefix(v, "PATH=") { // that of testscript has the program
					e.Vars = append(e.Vars, v)
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "until": until, "capture": capture, "get": get,
		},
	})
}

func exits(s *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	s.Check(err)
	code := 0
	if err := s.Exec(args[1], args[2:]...); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			s.Fatalf("%v", err)
		}
		code = failed.ExitCode()
	}
	if code != want {
		s.Fatalf("exit code %d", code)
	}
	if out := s.ReadFile("stdout"); code != 0 && out != "" {
		s.Fatalf("it failed, and printed %q", out)
	}
}

func until(s *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	for end := time.Now().Add(startsWithin); ; time.Sleep(look) {
		err := s.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(s.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			s.Fatalf("%v never printed %q: %v", args[1:], args[0], err)
		}
	}
}

func capture(s *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(s.ReadFile("stdout"))
	if len(found) != 2 {
		s.Fatalf("stdout has no %q", args[1])
	}
	s.Setenv(args[0], found[1])
}

func get(s *testscript.TestScript, _ bool, args []string) {
	response, err := browserLike.Get(args[1])
	s.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	s.Check(err)
	if strconv.Itoa(response.StatusCode) != args[0] || !regexp.MustCompile(args[2]).Match(body) {
		s.Fatalf("%s: %s", response.Status, body)
	}
}

// onTheHost is a service of this machine; it answers with the path.
func onTheHost(t *testing.T) (port string) {
	t.Helper()
	return strconv.Itoa(wiretest.Port(t, wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("you asked for " + r.URL.Path))
	})))
}
