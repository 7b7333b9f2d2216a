// Package ui is what all pages of the admin UI are made of: the layout with its stylesheet
// and script, notices, signs of outcomes, times and numbers in words, and errors as pages.
// It knows no part of the UI, and reads of the catalog only how outcomes and stages are
// called.
package ui

//go:generate go tool templ generate
