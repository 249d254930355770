package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"

	"itool/ops/chat"
	"itool/ops/job"
	"itool/ops/serve"
	"itool/schemas/toolcall"
)

// chatCmd is `itool chat`.
type chatCmd struct {
	policyFlags
	Tools       string   `placeholder:"FILE" help:"${chat_tools}"`
	System      string   `placeholder:"TEXT" help:"A system message to begin with."`
	Temperature *float64 `help:"0: always the likeliest token; default: as the model's makers recommend."`
	Seed        *int64   `help:"The same seed gives the same answers; default: another one each time."`
	Answer      int      `default:"2048" help:"Most tokens of an answer."`
}

// Run serves the policy at an address of this machine that only this process knows, and talks with it there: so it
// answers as itool serve does.
func (c *chatCmd) Run(ctx context.Context, a *app) error {
	if c.Answer < 1 {
		return coded(exitUsage, "--answer: %d is below 1", c.Answer)
	}
	tools, err := readTools(c.Tools)
	if err != nil {
		return err
	}
	p, name, err := c.open(ctx, a, 0)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	key := rand.Text()
	s := serve.New(p, serve.Options{Name: name, Key: key, Calls: callsOf(c.Calls), Answer: c.Answer, Log: a.log})
	stop := job.Until(ctx, func(ctx context.Context) error { return answerOn(ctx, s, listener) })
	talk := chat.Chat{
		URL: fmt.Sprintf("http://%s/v1", listener.Addr()), Key: key, Tools: tools, System: c.System,
		Temperature: c.Temperature, Seed: c.Seed, In: os.Stdin, Out: a.out,
	}
	fmt.Fprintf(a.out, "%s. ", name)
	err = talk.Run(ctx)
	_ = stop()
	return err
}

// readTools reads a file of tools: a JSON array as OpenAI, ToolACE or BFCL write it.
func readTools(file string) (json.RawMessage, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--tools: %w", err)
	}
	tools, err := toolcall.ParseTools(raw)
	if err != nil {
		return nil, fmt.Errorf("--tools %s: %w: give a JSON array of tools, as OpenAI writes it", file, err)
	}
	if len(tools) == 0 {
		return nil, fmt.Errorf("--tools %s: the list is empty", file)
	}
	return raw, nil
}
