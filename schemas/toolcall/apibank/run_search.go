package apibank

import (
	"errors"
	"slices"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

var errUnknownURL = errors.New("this url cannot be processed")

func caption(q *request) (python.Value, error) {
	url := strip(q.text("url"))
	if !slices.ContainsFunc([]string{".jpg", ".jpeg", ".png"}, func(end string) bool {
		return strings.HasSuffix(url, end)
	}) {
		return nil, errors.New("the url ends in none of .jpg, .jpeg and .png")
	}
	for _, image := range items(q.db) {
		if text(image, "url") == url {
			v, _ := entry(image, "caption")
			return v, nil
		}
	}
	return nil, errUnknownURL
}

func transcript(q *request) (python.Value, error) {
	url := strip(q.text("url"))
	if !strings.HasSuffix(url, ".wav") {
		return nil, errors.New("the url does not end in .wav")
	}
	v, ok := entry(q.db, url)
	if !ok {
		return nil, errUnknownURL
	}
	return v, nil
}

// answerQuestion finds no answer: the original looks for the question in a list of questions with answers.
func answerQuestion(q *request) (python.Value, error) {
	if strip(q.text("question")) == "" {
		return nil, errors.New("the question is empty")
	}
	if _, ok := entry(q.db, strip(q.text("url"))); !ok {
		return nil, errUnknownURL
	}
	return "The question is too difficult to answer.", nil
}

func historyToday(q *request) (python.Value, error) {
	on, err := anniversary(q.text("date"))
	if err != nil {
		return nil, err
	}
	all, ok := entry(q.db, on)
	if !ok {
		return nil, errors.New("the day is not in the database")
	}
	found := python.NewList()
	for _, event := range items(all) {
		found.Items = append(found.Items, "Title: "+strip(text(event, "Title"))+", Date: "+strip(text(event, "Date"))+
			", Description: "+strip(text(event, "Description")))
	}
	return found, nil
}

func stock(q *request) (python.Value, error) {
	code, _ := upper(q.text("stock_code"))
	on, err := date(q.text("date"))
	if err != nil {
		return nil, err
	}
	prices, _ := entry(q.db, code)
	price, ok := entry(prices, on)
	if !ok {
		return nil, errors.New("there is no price of this stock and day")
	}
	return price, nil
}

func wiki(q *request) (python.Value, error) {
	page, ok := entry(q.db, strings.ToLower(strip(strings.ReplaceAll(q.text("keyword"), "_", " "))))
	if !ok {
		return nil, errors.New("there is no such page")
	}
	url, _ := entry(page, "url")
	summary, _ := entry(page, "summary")
	return python.Record("url", url, "summary", summary), nil
}
