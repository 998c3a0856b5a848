package preview

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(childFileEnv); file != "" {
		createForEver(file)
		return
	}
	if file := os.Getenv(childCompactEnv); file != "" {
		openOnce(file)
		return
	}
	goleak.VerifyTestMain(m)
}
