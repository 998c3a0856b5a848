package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"daemon-proxy/core"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
)

// serve runs the core until ctx ends.
func serve(ctx context.Context, flags *pflag.FlagSet, stderr io.Writer) error {
	cfg, err := config.Load(config.Options{Flags: flags})
	if err != nil {
		return err
	}
	logger, logs, err := logging.New(logging.Options{
		Level: cfg.Logging.Level, Format: cfg.Logging.Format, File: cfg.Logging.File,
		MaxSizeMB: cfg.Logging.MaxSizeMB, MaxBackups: cfg.Logging.MaxBackups, Stderr: stderr,
	})
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer logs.Close()

	self, err := os.Executable()
	if err != nil {
		logger.Warn("the program does not find its own file: the built-in daemon cannot be injected", "error", err)
	}
	c, err := core.Start(ctx, core.Options{Config: cfg, Version: version(), Executable: self, Logger: logger})
	if err != nil {
		return err
	}
	return c.Wait()
}
