package main

import (
	"context"
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

// serve runs the core until ctx ends, and the terminal UI on it where there is
// a terminal and nobody said --no-tui.
func serve(ctx context.Context, flags *pflag.FlagSet, stdout, stderr io.Writer) error {
	cfg, err := config.Load(config.Options{Flags: flags})
	if err != nil {
		return err
	}
	outliveReaders()
	noTUI, err := flags.GetBool("no-tui")
	if err != nil {
		return err
	}
	terminal := terminalOf(stdout)
	withUI := !noTUI && terminal != nil
	logTo := stderr
	if withUI {
		logTo = nil // nothing may be written over the UI
		if err := tui.CheckKeys(cfg.TUI.Keys); err != nil {
			return usageError{fmt.Errorf("tui.%w", err)}
		}
	}
	logger, logs, err := logging.New(logging.Options{
		Level: cfg.Logging.Level, Format: cfg.Logging.Format, File: cfg.Logging.File,
		MaxSizeMB: cfg.Logging.MaxSizeMB, MaxBackups: cfg.Logging.MaxBackups, Stderr: logTo,
	})
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer logs.Close()
	if withUI {
		slog.SetDefault(logger) // and with it package log's
	}

	self, err := os.Executable()
	if err != nil {
		logger.Warn("cannot find the program's own file: the built-in daemon cannot be injected", "error", err)
	}
	defer keepSmall(cfg.Traffic.Memory)()
	running, stop := context.WithCancel(ctx)
	defer stop()
	c, err := core.Start(running, core.Options{Config: cfg, Version: version(), Executable: self, Logger: logger})
	if err != nil {
		return err
	}
	if !withUI {
		return c.Wait()
	}
	ended := make(chan error, 1)
	go func() {
		ended <- c.Wait()
		stop() // a core that ended ends the UI
	}()
	err = tui.Run(running, c, tui.Options{
		Out: terminal, Theme: cfg.TUI.Theme, ASCII: cfg.TUI.ASCII, NoMouse: !cfg.TUI.Mouse, ReadOnly: cfg.TUI.ReadOnly || cfg.Server.ReadOnly,
		Keys:      cfg.TUI.Keys,
		StateFile: filepath.Join(cfg.StateDir, "tui.json"), Logger: logger,
	})
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
