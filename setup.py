"All settings are in settings.ini (the nbdev configuration); edit them there."
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_packages

ini = ConfigParser(delimiters=['='])
ini.read('settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']
lib = cfg['lib_path']
setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    keywords=cfg['keywords'].split(),
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    license='Apache-2.0',
    classifiers=['Programming Language :: Python :: 3', 'Topic :: Scientific/Engineering'],
    python_requires='>=' + cfg['min_python'],
    install_requires=cfg['requirements'].split(),
    extras_require={
        'paper': cfg['paper_requirements'].split(),
        'dev': cfg['paper_requirements'].split() + cfg['dev_requirements'].split() + cfg['docs_requirements'].split(),
        'optional': cfg['optional_requirements'].split(),
    },
    packages=find_packages(include=[lib, lib + '.*']),
    package_data={lib: ['facts/*.csv']},
    entry_points={'nbdev': [f'{lib}={lib}._modidx:d']},
    zip_safe=False,
)
