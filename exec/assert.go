package exec

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"karst/log"
	"karst/sql"
	"karst/sql/types"
)

// An UnmetError says that what an ASSERT TOPIC or SCHEMA asks is not so, or not
// yet: who sent the statement may ask again until its TIMEOUT.
type UnmetError struct{ User *types.Error }

// Error implements error.
func (e *UnmetError) Error() string { return e.User.Error() }

// Unwrap gives the user's error.
func (e *UnmetError) Unwrap() error { return e.User }

func unmet(at types.Pos, format string, args ...any) error {
	return &UnmetError{types.Errorf(types.ErrStatement, at, format, args...)}
}

// assertTopic holds a topic to being there, with the PARTITIONS and REPLICAS
// that WITH gives, or to not being there. It looks once.
func (e *Engine) assertTopic(ctx context.Context, x *sql.AssertTopic) (Answer, error) {
	t, err := e.opts.Log.Topic(ctx, x.Topic)
	switch {
	case err != nil && !errors.Is(err, log.ErrUnknownTopic):
		return nil, err
	case x.NotExists && err == nil:
		return nil, unmet(x.Pos(), "Topic %s exists", x.Topic)
	case !x.NotExists && err != nil:
		return nil, unmet(x.Pos(), "Topic %s does not exist", x.Topic)
	case x.NotExists:
		return Asserted{Topic: x.Topic}, nil
	}
	var wrong []string
	for _, p := range x.With {
		want, perr := strconv.Atoi(p.Value.Text)
		if perr != nil {
			return nil, types.Errorf(types.ErrStatement, p.At, "%s must be a number, found %s", p.Name, p.Value.Text)
		}
		have := int(t.Partitions)
		switch strings.ToUpper(p.Name) {
		case "PARTITIONS":
		case "REPLICAS":
			have = 1
		default:
			return nil, types.Errorf(types.ErrStatement, p.At, "Cannot assert unknown topic property: %s", p.Name)
		}
		if want != have {
			wrong = append(wrong, fmt.Sprintf("Mismatched configuration for topic %s: For config %s, expected %d got %d", x.Topic, strings.ToLower(p.Name), want, have))
		}
	}
	if len(wrong) > 0 {
		return nil, unmet(x.Pos(), "%s", strings.Join(wrong, "\n"))
	}
	return Asserted{Topic: x.Topic, Exists: true}, nil
}
