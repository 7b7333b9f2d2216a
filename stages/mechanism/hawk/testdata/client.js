// A Hawk client made with the npm package `hawk`. Standard input is one call as JSON; standard
// output is what came of it.
'use strict';

const Hawk = require('hawk');
const Http = require('http');
const Url = require('url');

let input = '';
process.stdin.on('data', (piece) => (input += piece));
process.stdin.on('end', () => {
	const { url, method, body, contentType, credentials, ext, app, dlg, localtimeOffsetMsec } = JSON.parse(input);
	const options = { credentials: { ...credentials, algorithm: 'sha256' }, ext, app, dlg, localtimeOffsetMsec };
	if (body) {
		Object.assign(options, { payload: body, contentType });
	}
	const { header, artifacts } = Hawk.client.header(url, method, options);
	const headers = { Authorization: header };
	if (body) {
		headers['Content-Type'] = contentType;
	}
	// Url.parse keeps a trailing question mark, which new URL drops.
	const req = Http.request({ ...Url.parse(url), method, headers }, (res) => {
		let payload = '';
		res.on('data', (piece) => (payload += piece));
		res.on('end', () => {
			const result = { status: res.statusCode, body: payload, refused: '' };
			const required = res.statusCode === 200;
			try {
				const checked = Hawk.client.authenticate(res, options.credentials, artifacts, required ? { payload, required } : {});
				result.headers = checked.headers;
			} catch (err) {
				result.refused = err.message;
			}
			process.stdout.write(JSON.stringify(result));
		});
	});
	req.end(body);
});
