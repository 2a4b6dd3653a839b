# To be sourced, in the top folder: sign_releases FOLDER puts dist/spoke and dist/spoke-next there, signed as `make
# release` does it, with the public key in workshop.pub.
sign_releases() {
  local python=.venv-build/bin/python file version name
  $python packaging/sign.py new-key "$1.pem" > "$1/workshop.pub"
  for file in dist/spoke dist/spoke-next; do
    version=$("$file" --version | cut -d' ' -f2)
    name=spoke-$version-linux-$(uname -m)
    cp "$file" "$1/$name"
    $python packaging/sign.py release --key "$1.pem" --version "$version" --platform "linux-$(uname -m)" \
      --glibc 2.36 --out "$1/$name.sig" "$1/$name"
  done
}
