package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"daemon-proxy/core"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/version"
	"daemon-proxy/tui"
)

// quitWithin is how long the end of the core is waited for after the person
// quit: a person who pressed q wants the prompt back, and open requests may last.
const quitWithin = time.Second

// outliveReaders makes a write to a pipe that nobody reads an error instead of
// the end of the program. It catches the signal because a signal that is
// ignored would be ignored by every program started from here too.
func outliveReaders() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// start is what the program does without a command: it runs a core, shows the
// terminal UI on one, or both.
type start struct {
	flags          *pflag.FlagSet
	config         config.Config
	terminal       *os.File // nil: no UI is shown
	stdout, stderr io.Writer
}

// serve shows the terminal UI on the core of --server or on the one that runs on
// this machine. Where there is no terminal or no such core, it runs a core until
// ctx ends.
func serve(ctx context.Context, flags *pflag.FlagSet, stdout, stderr io.Writer) error {
	cfg, err := config.Load(config.Options{Flags: flags})
	if err != nil {
		return err
	}
	outliveReaders()
	s := &start{flags: flags, config: cfg, stdout: stdout, stderr: stderr}
	noTUI, noTUIErr := flags.GetBool("no-tui")
	standalone, standaloneErr := flags.GetBool("standalone")
	address, addressErr := flags.GetString("server")
	if err := errors.Join(noTUIErr, standaloneErr, addressErr); err != nil {
		return err
	}
	if !noTUI {
		s.terminal = terminalOf(stdout)
	}
	if s.terminal != nil {
		if err := tui.CheckKeys(cfg.TUI.Keys); err != nil {
			return usageError{fmt.Errorf("tui.%w", err)}
		}
	}
	switch {
	case address != "" && standalone:
		return usageError{errors.New("--server opens a core that runs, --standalone starts one: give one of them")}
	case address != "" && s.terminal == nil:
		return usageError{errors.New("--server without a command opens the terminal UI, and there is no terminal for it: " +
			"give a command, such as daemon-proxy status --server …")}
	case standalone:
		if err := s.standalone(ctx); err != nil {
			return err
		}
	case s.terminal != nil:
		if address = cmp.Or(address, os.Getenv(serverEnv)); address != "" {
			if flag := s.ofACore(); flag != "" && flag != "port" { // where ssh puts the previews
				return usageError{fmt.Errorf("--%s configures a core, and --server (%s) opens one that runs: give one of them",
					flag, serverEnv)}
			}
			return s.attachTo(ctx, address)
		}
		if s.ofACore() != "" {
			break
		}
		if c, err := runningCore(ctx, cfg); err != nil {
			return atTheTerminal(err)
		} else if c != nil {
			return s.attach(ctx, c, &tui.Attached{URL: c.URL()})
		}
	}
	return s.run(ctx, standalone)
}

// ofAScreen are the flags that configure a screen.
var ofAScreen = map[string]bool{
	"config": true, "log-level": true, "log-format": true, "log-file": true, "log-max-size-mb": true,
	"log-max-backups": true, "theme": true, "ascii": true, "mouse": true, "keys": true, "read-only": true,
	"server": true, "standalone": true, "no-tui": true,
}

// ofACore is a flag that was given which a core that already runs cannot heed,
// port only if it is the only one; empty if there is none.
func (s *start) ofACore() (name string) {
	s.flags.Visit(func(f *pflag.Flag) {
		if !ofAScreen[f.Name] && (name == "" || name == "port") {
			name = f.Name
		}
	})
	return name
}

// log opens the log. While the UI is shown, nothing is written over it.
func (s *start) log() (*slog.Logger, io.Closer, error) {
	c := s.config.Logging
	o := logging.Options{
		Level: c.Level, Format: c.Format, File: c.File, MaxSizeMB: c.MaxSizeMB, MaxBackups: c.MaxBackups,
	}
	if s.terminal == nil {
		o.Stderr = s.stderr
	}
	logger, logs, err := logging.New(o)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	if s.terminal != nil {
		slog.SetDefault(logger) // and with it package log's
	}
	return logger, logs, nil
}

// screen configures the UI.
func (s *start) screen(logger *slog.Logger) tui.Options {
	c := s.config
	return tui.Options{
		Out: s.terminal, Theme: c.TUI.Theme, ASCII: c.TUI.ASCII, NoMouse: !c.TUI.Mouse,
		ReadOnly: c.TUI.ReadOnly || c.Server.ReadOnly, Keys: c.TUI.Keys,
		StateFile: filepath.Join(c.StateDir, "tui.json"), Logger: logger,
	}
}

// run runs a core until ctx ends, with the UI on it if there is a terminal.
// Unlisted, other commands do not find it.
func (s *start) run(ctx context.Context, unlisted bool) error {
	cfg := s.config
	logger, logs, err := s.log()
	if err != nil {
		return err
	}
	defer logs.Close()
	if s.terminal == nil && os.Getenv(serverEnv) != "" {
		logger.Warn(serverEnv + " is ignored: it is for commands and the terminal UI, and this runs a core")
	}
	self, err := os.Executable()
	if err != nil {
		logger.Warn("cannot find the program's own file: the built-in daemon cannot be injected", "error", err)
	}
	defer keepSmall(cfg.Traffic.Memory)()
	running, stop := context.WithCancel(ctx)
	defer stop()
	c, err := core.Start(running, core.Options{
		Config: cfg, Version: version.String(), Executable: self, Logger: logger, Unlisted: unlisted,
	})
	if err != nil {
		return s.orOpenThat(ctx, err)
	}
	if s.terminal == nil {
		return c.Wait()
	}
	ended := make(chan error, 1)
	go func() {
		ended <- c.Wait()
		stop() // a core that ended ends the UI
	}()
	o := s.screen(logger)
	o.Undo = c.UndoInjections
	err = tui.Run(running, c, o)
	quit := err == nil && running.Err() == nil // a terminal that has gone is an error
	stop()
	if err != nil {
		err = fmt.Errorf("%w (the log is %s)", err, cfg.Logging.File)
	}
	if quit && !cfg.Daemon.StopOnExit {
		select {
		case coreErr := <-ended:
			return orElse(err, coreErr)
		case <-time.After(quitWithin):
			return err
		}
	}
	return orElse(err, <-ended)
}

// orOpenThat adds to the error of a start that the port is taken by a core which
// can be opened: it is another user's, or has another state directory.
func (s *start) orOpenThat(ctx context.Context, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, aliveWithin)
	defer stop()
	for _, scheme := range []string{"http", "https"} {
		address := fmt.Sprintf("%s://localhost:%d", scheme, s.config.Server.Port)
		there, clientErr := clientOf(address, "", s.config)
		if clientErr != nil {
			return errors.Join(err, clientErr)
		}
		if there.Check(ctx) == nil {
			return hintedError{err, "that is a daemon-proxy: open it with --server " + address +
				", or choose another port with --port", exitFailed}
		}
	}
	return err
}

func orElse(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// terminalOf is stdout if the person is at a terminal, else nil.
func terminalOf(stdout io.Writer) *os.File {
	file, ok := stdout.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	return file
}
