package script

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGolden runs the project's golden files.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("../../testdata/slt/*.slt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".slt"), func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			sum, err := Run(context.Background(), []string{f}, Options{}, &out)
			if err != nil || sum.Failed > 0 || sum.Passed == 0 {
				t.Errorf("%+v, %v\n%s", sum, err, out.String())
			}
		})
	}
}

// TestRunnerFinds holds the runner to finding what is wrong in a file.
func TestRunnerFinds(t *testing.T) {
	const head = "statement ok\nCREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');\n\nstatement ok\nINSERT INTO s VALUES (1);\n\n"
	for name, bad := range map[string]string{
		"a wrong value":       "query\nSELECT v FROM s;\n----\n2\n",
		"a missing row":       "query\nSELECT v FROM s;\n----\n1\n1\n",
		"an unexpected row":   "query\nSELECT v FROM s;\n----\n",
		"an unexpected error": "statement ok\nCREATE STREAM t AS SELECT nope FROM s;\n",
		"no error":            "statement error statement\nINSERT INTO s VALUES (2);\n",
		"another error":       "statement error parse\nCREATE STREAM t AS SELECT nope FROM s;\n",
	} {
		file := filepath.Join(t.TempDir(), "x.slt")
		if err := os.WriteFile(file, []byte(head+bad), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		sum, err := Run(context.Background(), []string{file}, Options{}, &out)
		if err != nil || sum.Failed != 6 {
			t.Errorf("%s: %+v, %v", name, sum, err)
		}
	}
}
